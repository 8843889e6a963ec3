// Registers two raw volumes by an exported network in Node, through @tensorflow/tfjs-node.
//
//   npm install @tensorflow/tfjs-node@4.22.0
//   node register.js models/student/1 fixed.raw moving.raw 128 128 128
//
// The package brings TensorFlow's library along; where its install script cannot fetch it, README.md
// tells how to build with that of the Python package. Volumes: see README.md.
const fs = require("fs");
const tf = require("@tensorflow/tfjs-node");

function readVolume(path, size) {
  const bytes = fs.readFileSync(path);
  if (bytes.length !== 4 * size[0] * size[1] * size[2]) {
    throw new Error(`${path}: is not a float32 volume of the given size`);
  }
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  return tf.tensor(values, [1, ...size, 1]);
}

async function main([folder, fixed, moving, ...words]) {
  const size = words.map(Number);
  if (size.length !== 3) throw new Error("needs MODEL FIXED MOVING X Y Z");
  const inputs = { fixed: readVolume(fixed, size), moving: readVolume(moving, size) };
  const model = await tf.node.loadSavedModel(folder, ["serve"], "serving_default");
  model.predict(inputs); // the first call also prepares
  const start = performance.now();
  const answer = model.predict(inputs);
  const flow = answer.flow.dataSync();
  const warped = answer.warped.dataSync();
  const taken = performance.now() - start;

  let [sum, most, grey] = [0, 0, 0];
  for (let i = 0; i < warped.length; i++) {
    const length = Math.hypot(flow[3 * i], flow[3 * i + 1], flow[3 * i + 2]);
    sum += length;
    most = Math.max(most, length);
    grey += warped[i];
  }
  console.log(`size: ${size.join(" x ")}`);
  console.log(`mean flow: ${(sum / warped.length).toFixed(4)} voxels`);
  console.log(`maximum flow: ${most.toFixed(4)} voxels`);
  console.log(`mean of warped: ${(grey / warped.length).toFixed(4)}`);
  console.log(`second call: ${taken.toFixed(1)} ms`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 2;
});
