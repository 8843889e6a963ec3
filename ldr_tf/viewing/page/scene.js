/* The scene: NiiVue with one scan and the folds, and above it what is drawn over the planes. */

const IMAGES = ["fixed", "warped", "moving", "blend", "difference"];
const DIFFERENCE = 1.6;  /* Brighter than it is, as in preview.png. */
const FOLD_MAP = { R: [255, 255], G: [0, 45], B: [0, 45], A: [0, 255], I: [0, 255] };

class Scene {
  constructor(data, canvas, lines, onMove) {
    Object.assign(this, { data, canvas, lines, onMove });
    this.image = "warped";
    this.blend = 0.5;
    this.shown = { outlines: true, grid: false, jacobian: false, folds: true, landmarks: true };
  }

  async load() {
    this.nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [1, 1, 1, 0.35], crosshairWidth: 0.12,
      crosshairWidthUnit: "percent", crosshairGap: 8, fontColor: [0.75, 0.78, 0.82, 1], isRadiologicalConvention: true,
      sagittalNoseLeft: true, multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS,
      multiplanarLayout: niivue.MULTIPLANAR_TYPE.GRID, multiplanarPadPixels: 6, dragAndDropEnabled: false,
      show3Dcrosshair: true, logLevel: "error", loadingText: "", isColorbar: false,
    });
    await this.nv.attachToCanvas(this.canvas);
    if (!this.nv.gl) throw new Error("WebGL 2 is missing");
    this.nv.addColormap("ldr_fold", FOLD_MAP);
    const names = ["fixed", "moving", "warped", "jacobian", "folds", "shift", "fixed_labels", "warped_labels"];
    this.volumes = {};
    for (const name of names) {
      if (!this.data[name]) continue;
      this.volumes[name] = await niivue.NVImage.loadFromBase64({ base64: this.data[name], name: `${name}.nii.gz` });
      this.data[name] = null;
    }
    const { fixed, moving, warped, jacobian, folds, shift } = this.volumes;
    this.gray = { fixed: fixed.img.slice(), moving: moving.img, warped: warped.img };
    this.scales = {};
    for (const name of Object.keys(this.gray)) {
      const { scl_slope: slope, scl_inter: inter } = this.volumes[name].hdr;
      this.scales[name] = [slope, inter];
    }
    this.labels = { fixed: this.volumes.fixed_labels?.img, warped: this.volumes.warped_labels?.img };
    this.folded = this.foldedPlaces(folds.img);
    this.jacobian = new JacobianMap(jacobian.img, jacobian.hdr.scl_slope, jacobian.hdr.scl_inter);
    this.grid = new DeformedGrid(shift.img, this.data.shift_size, shift.hdr.scl_slope, this.data.size, this.data.spacing);
    this.addVolumes(fixed, folds);
    this.drawAfterNiivue();
    this.showImage(this.image);
    this.showView(3);
  }

  /* Puts the volumes into the scene: one scan, whose numbers change, and the folds. */
  addVolumes(fixed, folds) {
    fixed.hdr.scl_slope = 1; fixed.hdr.scl_inter = 0;
    fixed.colormap = "gray"; fixed.cal_min = 0; fixed.cal_max = 255;
    folds.colormap = "ldr_fold"; folds.cal_min = 0; folds.cal_max = 1;
    for (const volume of [fixed, folds]) {
      volume.colorbarVisible = false;
      this.nv.addVolume(volume);
    }
    this.scan = fixed;
  }

  foldedPlaces(numbers) {
    const found = [];
    for (let place = 0; place < numbers.length; place++) if (numbers[place]) found.push(place);
    return found;
  }

  drawAfterNiivue() {
    const draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = () => { const said = draw(); this.drawLines(); return said; };
    this.nv.onLocationChange = () => this.onMove();
  }

  showImage(name, blend = this.blend) {
    this.image = name; this.blend = blend;
    const { fixed, warped } = this.gray, target = this.scan.img;
    if (this.gray[name]) target.set(this.gray[name]);
    else if (name === "blend") for (let i = 0; i < target.length; i++) target[i] = fixed[i] + blend * (warped[i] - fixed[i]);
    else for (let i = 0; i < target.length; i++) target[i] = Math.min(255, DIFFERENCE * Math.abs(warped[i] - fixed[i]));
    this.nv.updateGLVolume();
    this.onMove();
  }

  /* number: NiiVue's of a view: 0, 1, 2 the planes, 3 all of them, 4 the rendering. */
  showView(number) {
    this.view = number;
    this.nv.setSliceType(number);
  }

  toggle(name, wanted = !this.shown[name]) {
    this.shown[name] = wanted;
    if (name === "folds") this.nv.setOpacity(1, wanted ? 1 : 0);
    this.nv.drawScene();
  }

  /* Goes to an index of the volumes [3]. */
  goTo(index) {
    const size = this.data.size;
    this.nv.scene.crosshairPos = index.map((n, k) => Math.min(1, Math.max(0, (n + 0.5) / size[k])));
    this.nv.drawScene();
    this.onMove();
  }

  /* The index of the volumes [3] that is looked at. */
  place() {
    const size = this.data.size;
    return Array.from(this.nv.scene.crosshairPos).map((f, k) => Math.min(size[k] - 1, Math.max(0, Math.floor(f * size[k]))));
  }

  /* Scrolls a plane by slices. */
  scroll(plane, slices) {
    const index = this.place();
    index[PLANES[plane][2]] += slices;
    this.goTo(index);
  }

  /* Goes to the first fold after the place that is looked at, in the order of voxels. */
  nextFold() {
    const [n, m] = this.data.size, [i, j, k] = this.place();
    const here = i + n * (j + m * k);
    const next = this.folded.find((place) => place > here) ?? this.folded[0];
    this.goTo([next % n, Math.floor(next / n) % m, Math.floor(next / (n * m))]);
  }

  /* What lies at the place that is looked at: numbers of the scans, the Jacobian, labels. */
  values() {
    const [n, m] = this.data.size, [i, j, k] = this.place();
    const at = i + n * (j + m * k), found = {};
    for (const [name, [slope, inter]] of Object.entries(this.scales)) found[name] = this.gray[name][at] * slope + inter;
    found.volume = this.jacobian.words(at);
    for (const side of ["fixed", "warped"]) {
      if (this.labels[side]) found[`${side}Label`] = this.data.labels[this.labels[side][at]];
    }
    return found;
  }

  drawLines() {
    const { lines, canvas, data } = this;
    if (lines.width !== canvas.width || lines.height !== canvas.height) {
      lines.width = canvas.width; lines.height = canvas.height;
    }
    const pen = lines.getContext("2d"), pixel = this.nv.uiData.dpr || 1;
    pen.clearRect(0, 0, lines.width, lines.height);
    for (const tile of planeTiles(this.nv, data.size)) {
      pen.save();
      pen.beginPath(); pen.rect(...tile.box); pen.clip();
      if (this.shown.jacobian) this.jacobian.paint(pen, data.size, tile, this.shown.folds && this.volumes.folds.img);
      if (this.shown.grid) this.stroke(pen, COLOURS.grid, pixel, (path) => this.grid.trace(path, tile));
      for (const [side, width] of [["fixed", 2.2], ["warped", 1.1]]) {
        if (this.shown.outlines && this.labels[side]) {
          this.stroke(pen, COLOURS[side], width * pixel, (path) => outline(path, this.labels[side], data.size, tile));
        }
      }
      if (this.shown.landmarks) drawLandmarks(pen, data.landmarks, tile, pixel);
      pen.restore();
    }
  }

  stroke(pen, colour, width, trace) {
    const path = new Path2D();
    trace(path);
    pen.strokeStyle = colour; pen.lineWidth = width;
    pen.stroke(path);
  }
}
