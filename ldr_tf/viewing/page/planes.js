"use strict";
/* Lines over the planes: outlines of labels, the deformed grid, landmarks. NiiVue draws the scan
   below; where a plane lies on the canvas is read from its tiles. */

const COLOURS = { fixed: "#2fd6f5", warped: "#ff9a2e", grid: "#7bdc6a" };
/* The two axes of a plane and the one across it, by NiiVue's number of the plane. */
const PLANES = [[0, 1, 2], [0, 2, 1], [1, 2, 0]];
const GRID_LINES = 24;
const SAMPLE = 5;
const NEAR = 1.5;

/* Returns the tiles that show planes: {axes, zero, scale, slice, box}; an index i of the volume lies
   at zero + i * scale on the canvas, along each of the tile's two axes. */
function planeTiles(nv, size) {
  const found = [];
  nv.screenSlices.forEach((tile, number) => {
    if (!PLANES[tile.axCorSag] || tile.AxyzMxy.length < 4) return;
    let [left, top, width, height] = tile.leftTopWidthHeight;
    if (width < 0) { left += width; width = -width; }
    const axes = PLANES[tile.axCorSag];
    const at = (x, y) => nv.screenXY2TextureFrac(left + x * width, top + y * height, number, false);
    const first = at(0.25, 0.25), last = at(0.75, 0.75);
    const zero = [], scale = [];
    for (const [k, start, length] of [[0, left, width], [1, top, height]]) {
      const n = size[axes[k]];
      const from = first[axes[k]] * n - 0.5, to = last[axes[k]] * n - 0.5;
      scale[k] = 0.5 * length / (to - from);
      zero[k] = start + 0.25 * length - from * scale[k];
    }
    const across = axes[2];
    const slice = nv.scene.crosshairPos[across] * size[across] - 0.5;
    found.push({ axes, zero, scale, slice, box: [left, top, width, height] });
  });
  return found;
}

/* Adds to a path the borders between voxels of different labels in one plane. */
function outline(path, labels, size, tile) {
  const [a, b, c] = tile.axes;
  const stride = [1, size[0], size[0] * size[1]];
  const slice = Math.min(size[c] - 1, Math.max(0, Math.round(tile.slice)));
  const x = (i) => tile.zero[0] + (i - 0.5) * tile.scale[0];
  const y = (j) => tile.zero[1] + (j - 0.5) * tile.scale[1];
  for (let j = 0; j < size[b]; j++) {
    for (let i = 0; i < size[a]; i++) {
      const place = i * stride[a] + j * stride[b] + slice * stride[c];
      const here = labels[place];
      if (i + 1 < size[a] && labels[place + stride[a]] !== here) {
        path.moveTo(x(i + 1), y(j)); path.lineTo(x(i + 1), y(j + 1));
      }
      if (j + 1 < size[b] && labels[place + stride[b]] !== here) {
        path.moveTo(x(i), y(j + 1)); path.lineTo(x(i + 1), y(j + 1));
      }
    }
  }
}

/* The moving scan's straight grid as it lies on the fixed one: contours of where each point goes. */
class DeformedGrid {
  /* shift: numbers of three frames on `shiftSize` voxels, `step` mm each; size, spacing: of the
     volumes, which take the same space. */
  constructor(shift, shiftSize, step, size, spacing) {
    this.shift = shift; this.shiftSize = shiftSize; this.step = step;
    this.size = size; this.spacing = spacing;
    this.every = Math.max(...size.map((n, k) => n * spacing[k])) / GRID_LINES;
  }

  /* Mm, along an axis, at which the point at an index of the volumes [3] ends. */
  moved(axis, index) {
    const n = this.shiftSize, low = [], share = [];
    for (let k = 0; k < 3; k++) {
      const place = (index[k] + 0.5) * n[k] / this.size[k] - 0.5;
      const inside = Math.min(n[k] - 1, Math.max(0, place));
      low[k] = Math.min(n[k] - 2, Math.floor(inside));
      share[k] = inside - low[k];
    }
    const start = axis * n[0] * n[1] * n[2];
    let value = 0;
    for (let corner = 0; corner < 8; corner++) {
      let weight = 1, place = start, stride = 1;
      for (let k = 0; k < 3; k++) {
        const up = (corner >> k) & 1;
        weight *= up ? share[k] : 1 - share[k];
        place += (low[k] + up) * stride;
        stride *= n[k];
      }
      if (weight) value += weight * this.shift[place];
    }
    return index[axis] * this.spacing[axis] + value * this.step;
  }

  /* Adds the lines in one plane to a path. */
  trace(path, tile) {
    const [a, b, c] = tile.axes;
    const counts = [0, 1].map((k) => {
      const pixels = Math.abs(this.size[tile.axes[k]] * tile.scale[k]);
      return Math.max(2, Math.min(240, Math.ceil(pixels / SAMPLE)));
    });
    const steps = [0, 1].map((k) => (this.size[tile.axes[k]] - 1) / (counts[k] - 1));
    for (const axis of [a, b]) {
      const index = [0, 0, 0], values = new Float32Array(counts[0] * counts[1]);
      index[c] = tile.slice;
      for (let j = 0; j < counts[1]; j++) {
        for (let i = 0; i < counts[0]; i++) {
          index[a] = i * steps[0]; index[b] = j * steps[1];
          values[i + j * counts[0]] = this.moved(axis, index) / this.every;
        }
      }
      this.contours(path, values, counts, (i, j) => [
        tile.zero[0] + i * steps[0] * tile.scale[0], tile.zero[1] + j * steps[1] * tile.scale[1],
      ]);
    }
  }

  /* Adds the lines along which values [counts] are whole numbers. */
  contours(path, values, counts, place) {
    const corners = [[0, 0], [1, 0], [1, 1], [0, 1]];
    for (let j = 0; j + 1 < counts[1]; j++) {
      for (let i = 0; i + 1 < counts[0]; i++) {
        const v = corners.map(([p, q]) => values[i + p + (j + q) * counts[0]]);
        for (let level = Math.ceil(Math.min(...v)); level <= Math.max(...v); level++) {
          const ends = [];
          for (let k = 0; k < 4; k++) {
            const [from, to] = [v[k], v[(k + 1) % 4]];
            if ((from < level) === (to < level)) continue;
            const part = (level - from) / (to - from);
            const [p, q] = corners[k], [r, s] = corners[(k + 1) % 4];
            ends.push(place(i + p + part * (r - p), j + q + part * (s - q)));
          }
          for (let k = 0; k + 1 < ends.length; k += 2) {
            path.moveTo(...ends[k]); path.lineTo(...ends[k + 1]);
          }
        }
      }
    }
  }
}

/* Draws the landmarks near one plane: circles on the fixed scan, crosses where their partners of
   the moving scan come to lie, a line from one to the other. */
function drawLandmarks(pen, landmarks, tile, pixel) {
  const [a, b, c] = tile.axes;
  const at = (index) => [tile.zero[0] + index[a] * tile.scale[0], tile.zero[1] + index[b] * tile.scale[1]];
  const near = (index) => index && Math.abs(index[c] - tile.slice) <= NEAR;
  const r = 5 * pixel;
  pen.lineWidth = 2 * pixel;
  pen.font = `600 ${12 * pixel}px system-ui, sans-serif`;
  pen.shadowColor = "#000";
  pen.shadowBlur = 3 * pixel;
  for (const mark of landmarks) {
    if (!near(mark.fixed) && !near(mark.warped)) continue;
    const [x, y] = at(mark.fixed);
    pen.strokeStyle = pen.fillStyle = COLOURS.fixed;
    pen.globalAlpha = near(mark.fixed) ? 1 : 0.6;
    pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.stroke();
    pen.fillText(mark.name, x + 1.6 * r, y - r);
    if (!mark.warped) continue;
    const [u, v] = at(mark.warped);
    pen.strokeStyle = COLOURS.warped;
    pen.globalAlpha = near(mark.warped) ? 1 : 0.6;
    pen.beginPath();
    pen.moveTo(u - r, v - r); pen.lineTo(u + r, v + r); pen.moveTo(u - r, v + r); pen.lineTo(u + r, v - r);
    pen.moveTo(x, y); pen.lineTo(u, v);
    pen.stroke();
  }
}
