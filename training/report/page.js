"use strict";
// Draws the chapters of a report and links their pictures. Figures come ready from Python; the
// traces that change are found by name.

(() => {
  const KINDS = { f4: Float32Array, u1: Uint8Array };
  const REMOVED = [
    "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d", "pan3d", "orbitRotation",
    "tableRotation", "resetCameraLastSave3d", "hoverClosest3d",
  ]; // each would be a stop of the Tab key
  const CONFIG = {
    responsive: true, displaylogo: false, scrollZoom: false, modeBarButtonsToRemove: REMOVED,
    showSendToCloud: false, plotlyServerURL: "", // data stay in the page
  };
  const MOST_SCENES = 8;
  const ECHO = 400; // milliseconds between a click and its echo
  const STEP = 350; // milliseconds between the epochs of a film

  // --- numbers ---------------------------------------------------------------------------------

  function unpack(packed) {
    if (!packed) return null;
    const bytes = Uint8Array.from(atob(packed.bdata), (c) => c.charCodeAt(0));
    const row = packed.shape.slice(1).reduce((a, b) => a * b, 1);
    const values = new KINDS[packed.dtype](bytes.buffer);
    return { values, shape: packed.shape, row: (i) => values.subarray(i * row, (i + 1) * row) };
  }

  function column(rows, width, index) {
    return Array.from({ length: rows.length / width }, (_, i) => rows[i * width + index]);
  }

  function number(value) {
    if (value === null || Number.isNaN(value)) return "not known";
    if (Number.isInteger(value)) return String(value).replace("-", "−"); // a label, a count
    return String(Number(value.toPrecision(4))).replace("-", "−");
  }

  const percent = (share) => `${number(Number((100 * share).toFixed(2)))} %`;
  const list = (values) => Array.from(values, number).join(", ");

  // --- small pieces of the page ------------------------------------------------------------------

  function element(tag, text, ...children) {
    const node = document.createElement(tag);
    if (text) node.textContent = text;
    node.append(...children);
    return node;
  }

  function table(pairs) {
    const rows = pairs.map(([name, value]) => {
      const head = element("th", name);
      head.scope = "row";
      return element("tr", "", head, element("td", value));
    });
    return element("table", "", element("tbody", "", ...rows));
  }

  function image(packed, index, caption) {
    const [height, width, channels = 1] = packed.shape.slice(1);
    const canvas = element("canvas");
    Object.assign(canvas, { width, height });
    const drawn = canvas.getContext("2d").createImageData(width, height);
    const source = packed.row(index);
    for (let pixel = 0; pixel < width * height; pixel += 1) {
      for (let c = 0; c < 3; c += 1) {
        drawn.data[4 * pixel + c] = source[channels * pixel + (channels === 3 ? c : 0)];
      }
      drawn.data[4 * pixel + 3] = 255;
    }
    canvas.getContext("2d").putImageData(drawn, 0, 0);
    return element("figure", "", canvas, element("figcaption", caption));
  }

  // --- one picture -------------------------------------------------------------------------------

  // Drawn when it comes near the window: a surface takes a second where there is no graphics card.
  class Plot {
    constructor(root, figure) {
      Object.assign(this, { root, figure, drawn: false, waiting: new Map(), listeners: [] });
      root.style.minHeight = `${figure.layout.height}px`;
      observer.observe(root);
      plots.set(root, this);
    }

    async draw() {
      if (this.drawn) return;
      await Plotly.newPlot(this.root, this.figure.data, this.figure.layout, CONFIG);
      for (const [event, action] of this.listeners) this.root.on(event, action);
      this.drawn = true;
      if (this.figure.layout.scene) scenes += 1;
      await this.catchUp();
      await new Promise(requestAnimationFrame);
      this.root.dataset.drawn = Math.round(performance.now()); // milliseconds since the page began
    }

    // Plotly writes changes into the figure, from which it is drawn again.
    async forget() {
      if (!this.drawn || !this.figure.layout.scene) return;
      this.drawn = false; // further changes wait
      while (this.root.ariaBusy === "true") await new Promise(requestAnimationFrame);
      scenes -= 1;
      Plotly.purge(this.root);
      delete this.root.dataset.drawn;
    }

    on(event, action) {
      this.listeners.push([event, action]); // before it is drawn
    }

    // Of changes that come faster than they can be drawn only the last of each kind is.
    change(change, names) {
      this.waiting.set(JSON.stringify([names, Object.keys(change)]), [change, names]);
      if (this.drawn && this.root.ariaBusy !== "true") this.catchUp();
    }

    async catchUp() {
      this.root.ariaBusy = "true";
      while (this.waiting.size) {
        const changes = [...this.waiting.values()];
        this.waiting.clear();
        for (const [change, names] of changes) {
          const traces = names.map((name) => this.root.data.findIndex((t) => t.name === name));
          await Plotly.restyle(this.root, change, traces);
        }
        await new Promise(requestAnimationFrame);
      }
      this.root.ariaBusy = "false";
    }
  }

  const plots = new Map();
  let scenes = 0; // that are drawn: browsers hold some sixteen
  let queue = Promise.resolve(); // one after the other, so that the first can be seen early

  function passed(entry) {
    const plot = plots.get(entry.target);
    if (entry.isIntersecting) enqueue(() => plot.draw());
    else if (scenes > MOST_SCENES) enqueue(() => plot.forget());
  }

  function enqueue(action) {
    queue = queue.then(action).catch((error) => console.error(error));
  }

  const observer = new IntersectionObserver((entries) => entries.forEach(passed), {
    rootMargin: "200px",
  });

  // --- one run -----------------------------------------------------------------------------------

  class Run {
    constructor(root, data, chapter) {
      Object.assign(this, { data, chapter });
      this.latent = new Plot(root.querySelector(".latent"), data.latent);
      this.space = new Plot(root.querySelector(".space"), data.space);
      this.details = root.querySelector(".details");
      this.report = root.querySelector(".geodesic");
      this.epoch = root.querySelector(".epoch");
      for (const name of ["z", "R", "metric", "eigenvalues", "density", "error", "images", "movement"]) {
        this[name] = unpack(data[name]);
      }
      this.colours = data.colours.map(unpack);
      this.frame = data.epochs.length - 1;
      this.positions = this.at(this.frame);
      const { x, y, z } = data.space.data.find((t) => t.name === "points");
      this.points = [x, y, z].map((axis) => unpack({ ...axis, shape: [this.chapter.n] }).values);
    }

    at(frame) {
      const rows = this.movement.row(frame);
      return [column(rows, 2, 0), column(rows, 2, 1)];
    }

    select(index) {
      const [x, y] = this.positions.map((axis) => [[axis[index]]]);
      this.latent.change({ x, y }, ["selected"]);
      const [sx, sy, sz] = this.points.map((axis) => [[axis[index]]]);
      this.space.change({ x: sx, y: sy, z: sz }, ["selected"]);
      this.describe(index);
    }

    describe(index) {
      const values = this.eigenvalues.row(index);
      const d = values.length;
      const metric = this.metric.row(index);
      const rows = Array.from({ length: d }, (_, i) => list(metric.subarray(i * d, (i + 1) * d)));
      const pairs = [
        ["point", String(index)],
        ["z", `(${list(this.z.row(index))})`],
        ["R", number(this.R.values[index])],
        ["g", d > 4 ? `${d} × ${d}, see its eigenvalues` : rows.join("; ")],
        ["eigenvalues of g", list(values)],
        ["√det g", number(this.density.values[index])],
        ["reconstruction error |x − x̂|", number(this.error.values[index])],
      ];
      if (this.chapter.labels) pairs.splice(1, 0, [this.chapter.labelName, number(this.chapter.labels[index])]);
      const pictures = [];
      if (this.images && index < this.images.shape[0]) {
        pictures.push(image(this.chapter.images, index, "data"), image(this.images, index, "decoded"));
      } else if (this.images) {
        pictures.push(element("p", "No image of this point was kept, to keep the page small."));
      }
      this.details.replaceChildren(table(pairs), ...pictures);
    }

    colour(choice) {
      const { limits, scale, colorbar, showscale } = this.chapter.colours[choice];
      const marker = {
        "marker.color": [Array.from(this.colours[choice].values)], "marker.cmin": limits[0],
        "marker.cmax": limits[1], "marker.colorscale": [scale],
      };
      this.space.change(marker, ["points"]);
      const bar = { "marker.colorbar": colorbar, "marker.showscale": showscale };
      this.latent.change({ ...marker, ...bar }, ["points"]);
    }

    // share: of the snapshots, from 0 to 1.
    move(share) {
      const { epochs } = this.data;
      this.frame = Math.round(share * (epochs.length - 1));
      this.positions = this.at(this.frame);
      const [x, y] = this.positions.map((axis) => [axis]);
      this.latent.change({ x, y }, ["points"]);
      const ended = this.frame === epochs.length - 1; // geodesics and landmarks are of the end
      this.latent.change({ visible: ended }, ["geodesic", "straight", "landmarks"]);
      this.report.hidden = !ended;
      this.epoch.textContent = `epoch ${epochs[this.frame]}`;
    }

    join(from, to) {
      const { paths } = this.data;
      const [first, second] = [Math.min(from, to), Math.max(from, to)];
      const pair = paths.pairs.findIndex(([a, b]) => a === first && b === second);
      const names = ["geodesic", "straight"];
      for (const [plot, where, width] of [[this.latent, "plane", 2], [this.space, "space", 3]]) {
        const packed = names.map((name) => unpack(paths[name][where]));
        const axis = (i) => packed.map((curves) => (pair < 0 ? [] : column(curves.row(pair), width, i)));
        const change = Object.fromEntries(Array.from("xyz".slice(0, width), (name, i) => [name, axis(i)]));
        plot.change(change, names);
      }
      this.report.textContent = pair < 0 ? "" : this.lengths(pair, first, second);
    }

    lengths(pair, first, second) {
      const { lengths, straightLengths, known } = this.data.paths;
      const [length, straight] = [lengths[pair], straightLengths[pair]];
      const parts = [`Geodesic: length ${number(length)}${known[pair] ? "" : ", not certain"}.`];
      const longer = length > 0 ? `, ${percent(straight / length - 1)} longer` : "";
      parts.push(`Straight line: ${number(straight)}${longer}.`);
      const chart = this.chapter.chart?.[first][second];
      if (chart != null) parts.push(`Distance in the ideal chart: ${number(chart)}.`);
      return parts.join(" ");
    }
  }

  // --- a map -------------------------------------------------------------------------------------

  // The geodesic between two points of a map that the reader chooses.
  class Joined {
    constructor(plot, run) {
      const article = plot.root.closest(".run");
      const { x, y } = plot.figure.data.find((t) => t.name === "map");
      const box = [x, y].map((axis) => {
        const { values } = unpack({ ...axis, shape: [1, 1] });
        return [values[0], values[values.length - 1]];
      });
      const grid = unpack(run.grid);
      this.metric = new LatentGeodesics.Metric(box, grid.shape, grid.values);
      this.report = article.querySelector(".geodesic");
      this.inputs = ["start", "end"].map((name) => article.querySelector(`[name=${name}]`));
      Object.assign(this, { plot, box, ends: [] });
      plot.on("plotly_click", ({ points }) => this.click([points[0].x, points[0].y]));
      this.inputs.forEach((input) => input.addEventListener("change", () => this.read()));
      article.querySelector("[name=clear]").addEventListener("click", () => this.show([]));
    }

    click(point) {
      this.show(this.ends.length === 1 ? [...this.ends, point] : [point]);
    }

    read() {
      const points = this.inputs.map(({ value }) => value.replaceAll("−", "-").split(/[,;\s]+/).filter(Boolean).map(Number));
      this.show(points.filter((p) => p.length === 2 && p.every(Number.isFinite)), false);
    }

    show(ends, write = true) {
      this.ends = ends;
      if (write) this.inputs.forEach((input, i) => (input.value = ends[i] ? list(ends[i]) : ""));
      const found = ends.length === 2 ? LatentGeodesics.solve(this.metric, ...ends) : null;
      const axis = (i) => [found?.path, found?.straight].map((path) => (path ?? []).map((p) => p[i]));
      this.plot.change({ x: axis(0), y: axis(1) }, ["geodesic", "straight"]);
      this.plot.change({ x: [ends.map((p) => p[0])], y: [ends.map((p) => p[1])] }, ["ends"]);
      this.report.textContent = this.words(found);
    }

    words(found) {
      if (this.ends.length < 2) return this.ends.length ? "Choose the other end." : "";
      if (!found) return "No geodesic was found: the metric is degenerate on the way, or a point is outside the map.";
      const { length, straightLength } = found;
      const longer = length > 0 ? `, ${percent(straightLength / length - 1)} longer` : "";
      const straight = Number.isNaN(straightLength) ? "not known" : number(straightLength) + longer;
      return `Geodesic: length ${number(length)}. Straight line: ${straight}.`;
    }
  }

  // --- one chapter -------------------------------------------------------------------------------

  class Chapter {
    constructor(root, data) {
      Object.assign(this, { root, data, kept: null });
      const chapter = { ...data, images: unpack(data.images) };
      const places = root.querySelectorAll(".run[data-run]");
      this.runs = data.runs.map((run, i) => new Run(places[i], run, chapter));
      const each = (kind) => Array.from(root.querySelectorAll(`.plot.${kind}`));
      const plotsOf = (kind) => each(kind).map((plot) => new Plot(plot, data.runs[plot.dataset.run][kind]));
      this.maps = plotsOf("map");
      this.joined = this.maps.map((plot) => new Joined(plot, data.runs[plot.root.dataset.run]));
      plotsOf("pairs");
      each("flow-curve").forEach((plot, i) => new Plot(plot, data.flowCurves[i]));
      linkFlow(root, data.runs, plotsOf("flow"), unpack);
      each("histogram").forEach((plot) => new Plot(plot, data.histogram));
      each("history").forEach((plot, i) => new Plot(plot, data.history[i]));
      this.listen();
    }

    find(name) {
      return this.root.querySelector(`.controls [name=${name}]`);
    }

    show(name, text) {
      this.root.querySelector(`.${name}-number`).textContent = text;
    }

    listen() {
      for (const run of this.runs) {
        for (const plot of [run.latent, run.space]) {
          plot.on("plotly_hover", (event) => this.point(event, false));
          plot.on("plotly_click", (event) => this.point(event, true));
        }
      }
      this.on("point", "input", (input) => this.select(Number(input.value), true));
      this.on("colour", "change", (input) => this.runs.forEach((run) => run.colour(Number(input.value))));
      this.on("epoch", "input", () => {
        this.stop();
        this.move();
      });
      this.on("play", "click", () => this.play());
      for (const end of ["from", "to"]) this.on(end, "change", () => this.join());
      for (const name of ["quantity", "own"]) this.on(name, "change", () => this.map());
      document.addEventListener("keydown", (event) => {
        if (event.key === "Escape" && this.kept !== null) this.select(this.kept, false);
      });
      if (this.find("epoch")) this.move();
    }

    on(name, event, action) {
      const input = this.find(name);
      if (input) input.addEventListener(event, () => action(input));
    }

    point(event, click) {
      const hit = event.points.find((p) => p.data.name === "points");
      if (!hit) return;
      const index = hit.pointNumber;
      if (click && !this.isEcho(index, event.event)) this.select(index, this.kept !== index);
      else if (!click && this.kept === null) this.select(index, false);
    }

    // A tap on a touch screen is told twice; later, where drawing takes long, than it was made.
    isEcho(index, source) {
      const [last, then] = this.clicked ?? [];
      this.clicked = [index, source?.timeStamp || performance.now()];
      return last === index && this.clicked[1] - then < ECHO;
    }

    select(index, keep) {
      this.index = index;
      this.kept = keep ? index : null;
      this.find("point").value = index;
      this.show("point", index + (keep ? ", kept" : ""));
      this.runs.forEach((run) => run.select(index));
    }

    move() {
      const { value, max } = this.find("epoch");
      this.runs.forEach((run) => run.move(Number(value) / Number(max)));
      if (this.index !== undefined) this.runs.forEach((run) => run.select(this.index));
    }

    play() {
      const slider = this.find("epoch");
      if (this.film) return this.stop();
      let frame = 0;
      this.find("play").textContent = "Stop";
      this.film = setInterval(() => {
        slider.value = frame;
        this.move();
        frame += 1;
        if (frame > Number(slider.max)) this.stop();
      }, STEP);
    }

    stop() {
      if (!this.film) return;
      clearInterval(this.film);
      this.film = null;
      this.find("play").textContent = "Play";
    }

    join() {
      const ends = ["from", "to"].map((name) => this.find(name).value);
      const [from, to] = ends.map((value) => (value === "" ? -1 : Number(value)));
      this.runs.forEach((run) => run.join(from, to));
    }

    map() {
      const choice = Number(this.find("quantity").value);
      const { limits: common, scale, colorbar } = this.data.maps[choice];
      for (const plot of this.maps) {
        const run = this.data.runs[plot.root.dataset.run];
        const packed = unpack(run.maps[choice]);
        const limits = this.find("own")?.checked ? run.mapLimits[choice] : common;
        const z = Array.from({ length: packed.shape[0] }, (_, i) => Array.from(packed.row(i)));
        const change = { z: [z], zmin: limits[0], zmax: limits[1], colorscale: [scale], colorbar };
        plot.change(change, ["map"]);
      }
    }
  }

  // --- the page ----------------------------------------------------------------------------------

  function start() {
    const data = JSON.parse(document.getElementById("data").textContent);
    if (matchMedia("(pointer: coarse)").matches) {
      // A finger that moves scrolls the page.
      const flat = data.flatMap(({ runs, histogram, history, flowCurves }) => [
        histogram, ...history, ...flowCurves,
        ...runs.flatMap((run) => [run.latent, run.map, run.pairs, run.flow]),
      ]);
      flat.filter(Boolean).forEach((figure) => (figure.layout.dragmode = false));
    }
    const roots = document.querySelectorAll(".chapter");
    data.forEach((chapter, i) => new Chapter(roots[i], chapter));
    document.body.dataset.ready = Math.round(performance.now());
  }

  start();
})();
