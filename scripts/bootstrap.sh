#!/bin/sh
# Makes the virtual environment of this checkout, with every package and ldr_tf itself in it.
#
#   sh scripts/bootstrap.sh            in .venv, or where VENV=... says; PYTHON=... picks the Python
#
# REQUIREMENTS=requirements-docs.txt makes the environment of the documentation instead, without
# ldr_tf.
#
# A finished environment is left alone until the requirements, setup.py, the Python or the
# checkout's place change. One whose installation was interrupted is made anew.
set -u
cd "$(dirname "$0")/.." || exit 1

venv=${VENV:-.venv}
requirements=${REQUIREMENTS:-requirements-dev.txt}
versions="3.11 3.10 3.9 3.13 3.12"   # the preferred first
[ "$requirements" = requirements-docs.txt ] && versions="3.11 3.10 3.13 3.12"
python=$venv/bin/python
stamp=$venv/.ldr_tf   # "installing" until all is done, then the key of what was installed

refuse() {
    printf '%s\n' "$1" >&2
    exit 1
}

key() {
    cat requirements.txt "$requirements" setup.py | cksum
    "$python" -c 'import sys; print(sys.version)' </dev/null || return 1
    pwd
}

state=
[ -f "$stamp" ] && state=$(cat "$stamp")

wanted=
if [ -n "${PYTHON:-}" ]; then
    wanted=$(sh scripts/find_python.sh $versions) || exit 1
fi
same_python() {
    [ -z "$wanted" ] && return 0
    ask='import sys; print(sys.version)'
    [ "$("$wanted" -c "$ask" </dev/null)" = "$("$python" -c "$ask" </dev/null)" ]
}

works() {
    [ -x "$python" ] && "$python" -m pip --version </dev/null >/dev/null 2>&1
}

if [ -n "$state" ] && [ "$state" != installing ] && works && same_python; then
    [ "$state" = "$(key)" ] && exit 0
elif [ -z "$state" ] && works && same_python; then
    :   # an environment that somebody else made: install into it, never delete it
else
    if [ -e "$venv" ] && [ -z "$state" ] && [ -n "$(ls -A "$venv" 2>/dev/null)" ]; then
        refuse "$venv exists but is no environment of this checkout that works: delete it, or\
 name another place with VENV=..."
    fi
    if [ -z "$wanted" ]; then
        wanted=$(sh scripts/find_python.sh $versions) || exit 1
    fi
    rm -rf "$venv" && mkdir -p "$venv" && echo installing >"$stamp" || exit 1
    printf 'Making %s with %s\n' "$venv" "$wanted"
    "$wanted" -m venv "$venv" </dev/null || refuse "$wanted could not make $venv (see above)."
    state=installing
fi

install() {
    "$python" -m pip install --quiet --no-input --disable-pip-version-check "$@" </dev/null
}

[ -n "$state" ] && echo installing >"$stamp"
printf 'Installing the packages into %s (a few minutes)\n' "$venv"
# The pip that a Python brings can be too old for the steps after it.
install "$(grep '^pip==' requirements-dev.txt)" &&
    install -r "$requirements" &&
    { [ "$requirements" = requirements-docs.txt ] || install --no-deps --no-build-isolation -e .; } ||
    refuse "The packages could not be installed into $venv (see above); the next call tries again."
key >"$stamp.new" && mv "$stamp.new" "$stamp"
