"use strict";
// Geodesics of a metric that is known at the nodes of a grid, between two points of its box.

const LatentGeodesics = (() => {
  const SEGMENTS = 64;
  const FINE = 4; // points for every segment, where lengths are taken
  const ITERATIONS = 400;
  const DONE = 1e-9; // relative decrease of the energy that is none
  const MOVES = [[1, 0], [0, 1], [1, 1], [1, -1], [2, 1], [1, 2], [2, -1], [1, -2]];

  // --- the metric ------------------------------------------------------------------------------

  // Weights of the values at −1, 0, 1, 2 for a cubic at t in [0, 1], and of its derivative.
  const cubic = (t) => [
    [((2 - t) * t - 1) * t, (3 * t - 5) * t * t + 2, ((4 - 3 * t) * t + 1) * t, (t - 1) * t * t],
    [(4 - 3 * t) * t - 1, (9 * t - 10) * t, (8 - 9 * t) * t + 1, (3 * t - 2) * t],
  ].map((weights) => weights.map((weight) => weight / 2));

  class Metric {
    // values: g11, g12, g22 at the nodes, row by row, rows along y; NaN where not known.
    constructor([xs, ys], [rows, columns], values) {
      Object.assign(this, { start: [xs[0], ys[0]], rows, columns, values });
      this.step = [(xs[1] - xs[0]) / (columns - 1), (ys[1] - ys[0]) / (rows - 1)];
    }

    node(row, column, part) {
      return this.values[3 * (row * this.columns + column) + part];
    }

    // Whether the metric is known all around the node.
    isOpen(row, column) {
      for (let r = Math.max(row - 2, 0); r <= Math.min(row + 2, this.rows - 1); r += 1) {
        for (let c = Math.max(column - 2, 0); c <= Math.min(column + 2, this.columns - 1); c += 1) {
          if (Number.isNaN(this.node(r, c, 0))) return false;
        }
      }
      return true;
    }

    // Beyond the edge the values go on along a line.
    extended(row, column, part) {
      const inside = (i, count) => Math.min(Math.max(i, 0), count - 1);
      const [r, c] = [inside(row, this.rows), inside(column, this.columns)];
      const here = this.node(r, c, part);
      if (r === row && c === column) return here;
      return 2 * here - this.node(inside(2 * r - row, this.rows), inside(2 * c - column, this.columns), part);
    }

    // [g, ∂g/∂x, ∂g/∂y], each of three numbers; null outside the box and where it is not known.
    at(x, y) {
      const place = [(x - this.start[0]) / this.step[0], (y - this.start[1]) / this.step[1]];
      const cell = [this.columns, this.rows].map((n, i) => Math.min(Math.floor(place[i]), n - 2));
      if (!(place[0] >= 0 && place[1] >= 0 && place[0] <= this.columns - 1 && place[1] <= this.rows - 1)) return null;
      const [[wx, dx], [wy, dy]] = [0, 1].map((i) => cubic(place[i] - cell[i]));
      const found = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
      for (let j = 0; j < 4; j += 1) {
        for (let i = 0; i < 4; i += 1) {
          for (let part = 0; part < 3; part += 1) {
            const value = this.extended(cell[1] + j - 1, cell[0] + i - 1, part);
            found[0][part] += wx[i] * wy[j] * value;
            found[1][part] += (dx[i] * wy[j] * value) / this.step[0];
            found[2][part] += (wx[i] * dy[j] * value) / this.step[1];
          }
        }
      }
      const [a, b, c] = found[0];
      return a > 0 && a * c > b * b ? found : null;
    }
  }

  const form = ([a, b, c], u, v) => a * u * u + 2 * b * u * v + c * v * v;

  // --- curves ----------------------------------------------------------------------------------

  // Half the sum of the squared lengths of the segments, with the metric at their middles.
  function energyOf(metric, path) {
    const parts = [];
    let energy = 0;
    for (let k = 0; k + 1 < path.length; k += 1) {
      const [[x, y], [nx, ny]] = [path[k], path[k + 1]];
      const g = metric.at((x + nx) / 2, (y + ny) / 2);
      if (!g) return null;
      const [u, v] = [nx - x, ny - y];
      energy += form(g[0], u, v) / 2;
      parts.push({ g, u, v });
    }
    return { energy, parts };
  }

  // Steps with the Hessian of Gauss and Newton, block tridiagonal: by elimination.
  function stepOf(parts) {
    const rows = [];
    let before = null;
    for (let k = 1; k < parts.length; k += 1) {
      const [one, next] = [parts[k - 1], parts[k]];
      const force = [1, 2].map((axis) => (form(one.g[axis], one.u, one.v) + form(next.g[axis], next.u, next.v)) / 4);
      const pull = ({ g: [[a, b, c]], u, v }) => [a * u + b * v, b * u + c * v];
      const [p, q] = [pull(one), pull(next)];
      const right = [0, 1].map((i) => q[i] - p[i] - force[i]);
      const matrix = [0, 1, 2].map((part) => one.g[0][part] + next.g[0][part]);
      if (before) { // less G B⁻¹ G of the node before, G = −g beside the diagonal
        const [a, b, c] = one.g[0];
        const [ix, iy] = [before.times(a, b), before.times(b, c)];
        matrix[0] -= a * ix[0] + b * ix[1];
        matrix[1] -= b * ix[0] + c * ix[1];
        matrix[2] -= b * iy[0] + c * iy[1];
        const moved = before.times(...before.right);
        right[0] += a * moved[0] + b * moved[1];
        right[1] += b * moved[0] + c * moved[1];
      }
      const [a, b, c] = matrix;
      const determinant = a * c - b * b;
      const times = (x, y) => [(c * x - b * y) / determinant, (a * y - b * x) / determinant];
      before = { right, times };
      rows.push({ right, times, next: next.g[0] });
    }
    const step = [];
    let after = [0, 0];
    for (const { right, times, next: [a, b, c] } of rows.reverse()) {
      after = times(right[0] + a * after[0] + b * after[1], right[1] + b * after[0] + c * after[1]);
      step.unshift(after);
    }
    return step;
  }

  // The curve of least energy near a path, or null where the metric is not known on it.
  function relaxed(metric, path) {
    let now = energyOf(metric, path);
    if (!now) return null;
    for (let i = 0; i < ITERATIONS; i += 1) {
      const step = stepOf(now.parts);
      let [share, next, trial] = [1, null, null];
      while (share > 1e-3 && !(next && next.energy < now.energy)) {
        trial = path.map(([x, y], k) => {
          const [u, v] = step[k - 1] ?? [0, 0];
          return [x + share * u, y + share * v];
        });
        next = energyOf(metric, trial);
        share /= 2;
      }
      if (!(next && next.energy < now.energy)) break;
      const decrease = now.energy - next.energy;
      [path, now] = [trial, next];
      if (decrease < DONE * now.energy) break;
    }
    return path;
  }

  const between = ([x, y], [u, v], share) => [x + share * (u - x), y + share * (v - y)];
  const line = (from, to, n = SEGMENTS) => Array.from({ length: n + 1 }, (_, k) => between(from, to, k / n));

  // NaN where the metric is not known in the middle of a segment.
  function lengthOf(metric, path) {
    let length = 0;
    for (let k = 0; k + 1 < path.length; k += 1) {
      const ends = [path[k], path[k + 1]];
      const piece = energyOf(metric, line(...ends, FINE)) ?? energyOf(metric, ends);
      if (!piece) return NaN;
      length += piece.parts.reduce((sum, { g, u, v }) => sum + Math.sqrt(form(g[0], u, v)), 0);
    }
    return length;
  }

  // The path resampled to so many segments of one size.
  function evenly(path) {
    const place = [0];
    for (let k = 1; k < path.length; k += 1) {
      place.push(place[k - 1] + Math.hypot(path[k][0] - path[k - 1][0], path[k][1] - path[k - 1][1]));
    }
    let k = 0;
    return Array.from({ length: SEGMENTS + 1 }, (_, i) => {
      const wanted = (place[place.length - 1] * i) / SEGMENTS;
      while (k + 2 < path.length && place[k + 1] < wanted) k += 1;
      const size = place[k + 1] - place[k];
      return between(path[k], path[k + 1], size > 0 ? Math.min((wanted - place[k]) / size, 1) : 0);
    });
  }

  // --- the graph of the grid -------------------------------------------------------------------

  // The shortest path along edges of the grid, or null if there is none.
  function graphPath(metric, from, to) {
    const { rows, columns, start, step } = metric;
    const nearest = (point) => {
      const [c, r] = [0, 1].map((i) => Math.round((point[i] - start[i]) / step[i]));
      return r * columns + c;
    };
    const [source, target] = [nearest(from), nearest(to)];
    const distance = new Float64Array(rows * columns).fill(Infinity);
    const before = new Int32Array(rows * columns).fill(-1);
    const heap = [[0, source]];
    distance[source] = 0;
    while (heap.length) {
      const [known, node] = pop(heap);
      if (node === target) break;
      if (known > distance[node]) continue;
      const [row, column] = [Math.floor(node / columns), node % columns];
      for (const sign of [1, -1]) {
        for (const [i, j] of MOVES) {
          const [r, c] = [row + sign * j, column + sign * i];
          if (r < 0 || c < 0 || r >= rows || c >= columns) continue;
          const mean = [0, 1, 2].map((part) => (metric.node(row, column, part) + metric.node(r, c, part)) / 2);
          const length = known + Math.sqrt(form(mean, i * sign * step[0], j * sign * step[1]));
          if (length < distance[r * columns + c] && metric.isOpen(r, c)) {
            distance[r * columns + c] = length;
            before[r * columns + c] = node;
            push(heap, [length, r * columns + c]);
          }
        }
      }
    }
    if (!Number.isFinite(distance[target])) return null;
    const nodes = [];
    for (let node = target; node >= 0; node = before[node]) nodes.unshift(node);
    const inner = nodes.slice(1, -1).map((node) => [start[0] + (node % columns) * step[0], start[1] + Math.floor(node / columns) * step[1]]);
    return evenly([from, ...inner, to]);
  }

  function push(heap, entry) {
    let child = heap.push(entry) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (heap[parent][0] <= heap[child][0]) return;
      [heap[parent], heap[child]] = [heap[child], heap[parent]];
      child = parent;
    }
  }

  function pop(heap) {
    const [first, last] = [heap[0], heap.pop()];
    if (!heap.length) return first;
    heap[0] = last;
    let parent = 0;
    for (;;) {
      let child = 2 * parent + 1;
      if (child >= heap.length) return first;
      if (child + 1 < heap.length && heap[child + 1][0] < heap[child][0]) child += 1;
      if (heap[parent][0] <= heap[child][0]) return first;
      [heap[parent], heap[child]] = [heap[child], heap[parent]];
      parent = child;
    }
  }

  // --- what the page asks for ------------------------------------------------------------------

  // The shorter of the geodesics near the straight line and near the grid's shortest path.
  function solve(metric, from, to) {
    const straight = line(from, to);
    const starts = [straight, graphPath(metric, from, to)].filter(Boolean);
    const found = starts.map((path) => relaxed(metric, path)).filter(Boolean);
    const curves = found.map((path) => ({ path, length: lengthOf(metric, path) }));
    const known = curves.filter(({ length }) => Number.isFinite(length));
    if (!known.length) return null;
    const best = known.reduce((a, b) => (b.length < a.length ? b : a));
    return { ...best, straight, straightLength: lengthOf(metric, straight) };
  }

  return { Metric, solve };
})();
