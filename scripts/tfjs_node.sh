#!/bin/sh
# Builds @tensorflow/tfjs-node against the library that a Python's TensorFlow brings, where npm's own
# install script cannot fetch one:
#   sh scripts/tfjs_node.sh FOLDER [PYTHON]
# leaves it in FOLDER/node_modules, for NODE_PATH. Needs npm, a C++ compiler, make, and Node's headers
# below NODEDIR, /usr if not given.
set -eu

[ $# -ge 1 ] || { echo "usage: sh scripts/tfjs_node.sh FOLDER [PYTHON]" >&2; exit 2; }
python=$(command -v "${2:-python3}")
tf=$("$python" -c 'import importlib.util as u; print(u.find_spec("tensorflow").submodule_search_locations[0])')

mkdir -p "$1"
cd "$1"
npm install --ignore-scripts --no-audit --no-fund --prefix . @tensorflow/tfjs-node@4.22.0
cd node_modules/@tensorflow/tfjs-node
rm -rf deps
mkdir -p deps/lib
ln -s "$tf/include" deps/include
for name in so so.2; do
    ln -s "$tf/libtensorflow_cc.so.2" "deps/lib/libtensorflow.$name"
    ln -s "$tf/libtensorflow_cc.so.2" "deps/lib/libtensorflow_cc.$name"
    ln -s "$tf/libtensorflow_framework.so.2" "deps/lib/libtensorflow_framework.$name"
done
npx node-pre-gyp install --build-from-source --nodedir="${NODEDIR:-/usr}"
