#!/bin/sh
# Prints the path of a Python that can make a virtual environment.
#
#   sh scripts/find_python.sh 3.11 3.10 3.9 3.13 3.12     versions, the preferred first
#
# PYTHON=... names the interpreter instead. A candidate counts only when it runs: a name on the
# PATH can be a shim that fails. Only the shell and the candidates themselves are used.
set -u

probe='
import sys
try:
    import ensurepip, venv
    able = "yes"
except ImportError:
    able = "no"
path = getattr(sys, "_base_executable", None) or sys.executable
print("%d.%d %s %s" % (sys.version_info[0], sys.version_info[1], able, path))
'

found=   # one line for each candidate that runs: version, can it make environments, path

try_candidate() {
    [ -f "$1" ] && [ -x "$1" ] || return 1
    line=$("$1" -c "$probe" </dev/null 2>/dev/null) || return 1
    case $line in
        [0-9]*.[0-9]*" yes "?* | [0-9]*.[0-9]*" no "?*) ;;
        *) return 1 ;;
    esac
    found="$found$line
"
}

# Picks from $found the first version wanted whose second field is $1.
pick() {
    able=$1
    shift
    for version in "$@"; do
        while read -r has_version has_able has_path; do
            if [ "$has_version" = "$version" ] && [ "$has_able" = "$able" ]; then
                picked=$has_path
                return 0
            fi
        done <<LINES
$found
LINES
    done
    return 1
}

refuse() {
    printf '%s\n' "$1" >&2
    exit 1
}

no_ensurepip() {
    package=python$has_version-venv
    refuse "$1 cannot make a virtual environment because its ensurepip is missing: install the\
 package $package (sudo apt install $package) and try again."
}

if [ -n "${PYTHON:-}" ]; then
    path=$(command -v "$PYTHON") || refuse "PYTHON=$PYTHON names no program."
    try_candidate "$path" || refuse "PYTHON=$PYTHON does not run as a Python interpreter."
    pick yes "$@" || {
        pick no "$@" && no_ensurepip "$picked"
        refuse "PYTHON=$PYTHON is Python ${found%% *}, and this needs one of: $*."
    }
    printf '%s\n' "$picked"
    exit 0
fi

# Every folder of the PATH, and the folders where pyenv keeps its interpreters.
roots=${PYENV_ROOT:-}
if command -v pyenv >/dev/null 2>&1; then
    roots="$roots:$(pyenv root </dev/null 2>/dev/null)"
fi
old_ifs=$IFS
set -f
IFS=:
for folder in ${PATH:-}; do
    [ -n "$folder" ] || continue
    for version in "$@"; do
        try_candidate "$folder/python$version"
    done
    try_candidate "$folder/python3"
    try_candidate "$folder/python"
    case $folder in
        */shims) roots="$roots:${folder%/shims}" ;;
    esac
done
IFS=:
for root in $roots; do
    [ -n "$root" ] || continue
    set +f
    for path in "$root"/versions/*/bin/python; do
        try_candidate "$path"
    done
    set -f
done
IFS=$old_ifs

if pick yes "$@"; then
    printf '%s\n' "$picked"
elif pick no "$@"; then
    no_ensurepip "$picked"
else
    refuse "No Python that runs was found among the versions $*: install one, with its venv\
 package, or name one with PYTHON=/path/to/python."
fi
