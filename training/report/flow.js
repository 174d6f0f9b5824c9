"use strict";
// R and f over the latent box, moved along the training by a slider of their own.

// plots: of the runs that flow; unpack: of packed arrays.
function linkFlow(root, runs, plots, unpack) {
  const slider = root.querySelector("[name=flow]");
  if (!slider) return;
  const maps = plots.map((plot) => unpack(runs[plot.root.dataset.run].flowMaps));
  const move = () => {
    const share = Number(slider.value) / Number(slider.max);
    plots.forEach((plot, index) => {
      const epochs = runs[plot.root.dataset.run].flowEpochs;
      const frame = Math.round(share * (epochs.length - 1));
      const [, count, rows, columns] = maps[index].shape;
      const values = maps[index].row(frame);
      const z = Array.from({ length: count }, (_, quantity) =>
        Array.from({ length: rows }, (_, row) => {
          const start = (quantity * rows + row) * columns;
          return Array.from(values.subarray(start, start + columns));
        }),
      );
      plot.change({ z }, ["flow R", "flow f"]);
      plot.root.closest(".run").querySelector(".flow-epoch").textContent = `epoch ${epochs[frame]}`;
    });
  };
  slider.addEventListener("input", move);
  move();
}
