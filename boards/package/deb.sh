# For boards/build and boards/plugin to source: what is the same in every Debian package. Needs $version, $date and
# SOURCE_DATE_EPOCH, in the root of the project.
# shellcheck shell=bash

maintainer=${DEBFULLNAME:+$DEBFULLNAME <${DEBEMAIL:?}>}
maintainer=${maintainer:-$(git log -1 --format='%an <%ae>' 2>/dev/null || echo 'Bifocal <bifocal@invalid>')}

put() { install -D -m "$1" "$2" "$3"; }
packed() { gzip -9n <"$1" | install -D -m 644 /dev/stdin "$2"; }

# documents NAME ROOT: what Debian asks for beside the files of package NAME.
documents() {
    local doc=$2/usr/share/doc/$1
    cat boards/package/copyright <(sed 's/^$/./; s/^/ /' LICENSE-MIT) | install -D -m 644 /dev/stdin "$doc/copyright"
    printf '%s (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of this version.\n\n -- %s  %s\n' \
        "$1" "$version" "$maintainer" "$date" | packed /dev/stdin "$doc/changelog.gz"
    packed CHANGELOG.md "$doc/NEWS.md.gz"
}

# seal ROOT DEB: packs ROOT, with what the function `control MAINTAINER SIZE` prints; the same files give the same bytes.
seal() {
    local root=$1 size folders
    mkdir -p "$root/DEBIAN"
    mapfile -t folders < <(cd "$root" && find . -mindepth 1 -maxdepth 1 -type d ! -name DEBIAN -printf '%P\n' | sort)
    (cd "$root" && find "${folders[@]}" -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
    size=$(find "$root" -type f -printf '%s\n' | awk '{ bytes += $1 } END { print int(bytes / 1024) + 1 }')
    control "$maintainer" "$size" >"$root/DEBIAN/control"
    find "$root" -type d -exec chmod 755 {} +
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # xz: the dpkg of JetPack 4 reads no zstd.
    dpkg-deb --root-owner-group --threads-max=1 -Zxz -b "$root" "$2" >&2
}
