# Sourced by tests/python/run: the package on 64-bit ARM, emulated, with Debian's Python for it.
# shellcheck shell=bash

# Debian 12's Python 3.11 and NumPy's wheel for it, put together in target/ and installed nowhere; prints the folder.
arm_python() {
    local root=$work/arm folder folders wheel
    if [ ! -e "$root/complete" ]; then
        rm -rf "$root" && mkdir -p "$root"
        folders=$(boards/card/packages.py --suite bookworm --architecture arm64 python3.11-minimal libpython3.11-minimal \
            libpython3.11-stdlib libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8 libssl3 libbz2-1.0 liblzma5)
        while read -r folder; do cp -a "$folder/." "$root"; done <<<"$folders"
        "$venv/bin/pip" download -q --no-deps -d "$root/wheels" --only-binary=:all: --python-version 3.11 \
            --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux2014_aarch64 numpy==2.2.6 >&2
        for wheel in "$root"/wheels/*.whl; do "$venv/bin/python" -m zipfile -e "$wheel" "$root/site"; done
        touch "$root/complete"
    fi
    echo "$root"
}

emulated() {
    environment
    local root wheel here processor
    wheel=$(wheel_for_arm "$work/wheel-aarch64" --profile bindings)
    root=$(arm_python)
    rm -rf "$work/site-aarch64" && "$venv/bin/python" -m zipfile -e "$wheel" "$work/site-aarch64"
    "$venv/bin/python" -c 'import bifocal' 2>/dev/null || install "$(wheel "$work/wheel" --profile bindings)"
    here=$("$venv/bin/python" tests/python/bytes.py)
    for processor in cortex-a72 cortex-a76; do
        diff <(echo "$here") <(tests/aarch64 emulate -cpu "$processor" -L "$root" -E PYTHONDONTWRITEBYTECODE=1 \
            -E "PYTHONPATH=$root/site:$work/site-aarch64" "$root/usr/bin/python3.11" tests/python/bytes.py)
        echo "$processor: $(wc -l <<<"$here") frames with the bytes of $(uname -m)"
    done
}
