/* The Jacobian as colours over the planes: red where the volume grows, blue where it shrinks, the
   less, the more of the scan is seen. (NiiVue's overlays are there or not, with nothing between.) */

const GROWTH = [[247, 225, 210], [239, 138, 98], [178, 24, 43]];
const SHRINKAGE = [[209, 229, 245], [90, 160, 215], [20, 90, 185]];
const OPAQUE = 0.8;

/* Red, green, blue of a number of doublings of the volume, negative for halvings. */
function jacobianColour(doublings) {
  const colours = doublings < 0 ? SHRINKAGE : GROWTH;
  const place = Math.min(1.999, 2 * Math.abs(doublings)), low = Math.floor(place);
  return colours[low].map((value, k) => Math.round(value + (place - low) * (colours[low + 1][k] - value)));
}

class JacobianMap {
  /* numbers: 1..255 of each voxel; slope * number + inter doublings of the volume. */
  constructor(numbers, slope, inter) {
    Object.assign(this, { numbers, slope, inter });
    this.colours = new Uint8ClampedArray(4 * 256);
    for (let number = 0; number < 256; number++) {
      const doublings = slope * number + inter;
      const opacity = OPAQUE * Math.min(1, 1.3 * Math.abs(doublings));
      this.colours.set([...jacobianColour(doublings), 255 * opacity], 4 * number);
    }
    this.picture = document.createElement("canvas");
  }

  /* How often the volume of a voxel is taken, as words. */
  words(place) {
    const number = this.numbers[place], sign = { 1: "≤", 255: "≥" }[number] ?? "×";
    return `${sign} ${(2 ** (this.slope * number + this.inter)).toFixed(2)}`;
  }

  /* Paints one plane, but for the voxels where `spared` is not 0. */
  paint(pen, size, tile, spared) {
    const [a, b, c] = tile.axes, stride = [1, size[0], size[0] * size[1]];
    const start = stride[c] * Math.min(size[c] - 1, Math.max(0, Math.round(tile.slice)));
    const pixels = new ImageData(size[a], size[b]);
    for (let j = 0; j < size[b]; j++) {
      for (let i = 0; i < size[a]; i++) {
        const place = start + i * stride[a] + j * stride[b];
        if (spared && spared[place]) continue;
        const colour = 4 * this.numbers[place];
        pixels.data.set(this.colours.subarray(colour, colour + 4), 4 * (i + j * size[a]));
      }
    }
    this.picture.width = size[a]; this.picture.height = size[b];
    this.picture.getContext("2d").putImageData(pixels, 0, 0);
    pen.save();
    const [x, y] = tile.zero, [dx, dy] = tile.scale;
    pen.transform(dx, 0, 0, dy, x - dx / 2, y - dy / 2);
    pen.drawImage(this.picture, 0, 0);
    pen.restore();
  }
}
