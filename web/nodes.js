// What the pack's other scripts share about nodes.
import { app } from "../../scripts/app.js";

// "12:5" is node 5 in the subgraph that node 12 of the workflow stands for.
export function nodeOf(executionId) {
  const ids = String(executionId).split(":");
  return ids.reduce((node, id) => node?.subgraph?.getNodeById(id), { subgraph: app.graph });
}

// Makes a node as high as its widgets need, and remembers how high it was.
const before = new WeakMap();

export function grow(node) {
  const [width, height] = node.size;
  const needed = node.computeSize()[1];
  if (needed <= height) return;
  before.set(node, { height: before.get(node)?.height ?? height, grown: needed });
  node.setSize([width, needed]);
}

// As high as it was, unless somebody has changed its size.
export function shrink(node) {
  const saved = before.get(node);
  before.delete(node);
  if (saved && saved.grown === node.size[1]) node.setSize([node.size[0], saved.height]);
}

export function removeWidget(node, name) {
  const place = node?.widgets?.findIndex((widget) => widget.name === name) ?? -1;
  if (place < 0) return;
  node.widgets[place].onRemove?.();
  node.widgets.splice(place, 1);
  shrink(node);
  node.setDirtyCanvas(true, true);
}
