#!/bin/sh
# Puts the pinned NiiVue into ldr_tf/viewing/niivue, and refuses any other file. Needs npm. The
# licences beside it are kept by hand: look at them when the version changes.
set -eu

VERSION=0.69.0
PACKAGE_SHA256=6e9a6a471b428eb3b258a0086beca9187d95e43a781a39e8a519c6da246af485
BUNDLE_SHA256=47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af

target=$(cd "$(dirname "$0")/.." && pwd)/ldr_tf/viewing/niivue
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

check() {
    echo "$1  $2" | sha256sum --check --status && return
    echo "$2: is not the file that was expected of NiiVue $VERSION." >&2
    exit 1
}

npm pack --silent "@niivue/niivue@$VERSION" >/dev/null
check "$PACKAGE_SHA256" "niivue-niivue-$VERSION.tgz"
tar -xzf "niivue-niivue-$VERSION.tgz" package/dist/niivue.umd.js
check "$BUNDLE_SHA256" package/dist/niivue.umd.js
mv package/dist/niivue.umd.js "$target/niivue.umd.js"
echo "NiiVue $VERSION is in $target"
