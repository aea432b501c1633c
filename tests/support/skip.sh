# For scripts to source: skip WHAT WHY says what is not tested here and why, and notes it for the end of tests/run.
# shellcheck shell=bash
skip() {
    printf 'skipped: %s: %s\n' "$1" "$2" | tee -a "${BIFOCAL_SKIPPED:-/dev/null}"
}
