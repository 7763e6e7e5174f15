// The window being finished plays on the node that samples it. Nothing of it is saved in a workflow.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { grow, nodeOf, removeWidget } from "./nodes.js";

const EVENT = "v-express.preview"; // vexpress/comfyui/moving_preview.py sends
const WIDGET = "v-express-preview";
const TYPE = "image/webp";
const HEIGHT = 220; // pixels, at least

const playing = new Set(); // ids of nodes that show an animation

function blobOf(base64) {
  return new Blob([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], { type: TYPE });
}

function imageOn(node) {
  const shown = node.widgets?.find((widget) => widget.name === WIDGET);
  if (shown) return shown.element;
  const image = document.createElement("img");
  image.style.cssText = "width: 100%; height: 100%; object-fit: contain; pointer-events: none;";
  const options = { serialize: false, canvasOnly: true, hideOnZoom: false, getMinHeight: () => HEIGHT };
  node.addDOMWidget(WIDGET, "img", image, options).serialize = false;
  grow(node);
  return image;
}

// Classic nodes draw still pictures, so an <img> lies over them.
function playOnCanvas(id, blob) {
  const node = nodeOf(id);
  if (!node) return;
  const image = imageOn(node);
  image.src = URL.createObjectURL(blob);
  const forget = URL.revokeObjectURL.bind(URL, image.src);
  image.decode().then(forget, forget);
}

// ComfyUI shows any picture in the <img> of a node of Nodes 2.0 and of the subgraphs around it; on classic ones it draws
// the first frame.
function handOver({ node, prompt_id }, displayNodeId, blob) {
  const detail = { blob, nodeId: node, displayNodeId, realNodeId: node, jobId: prompt_id };
  api.dispatchCustomEvent("b_preview_with_metadata", detail);
}

function play(detail) {
  const id = detail.display_node;
  const blob = blobOf(detail.image);
  playing.add(id);
  if (LiteGraph.vueNodesMode) return handOver(detail, id, blob);
  playOnCanvas(id, blob);
  const subgraph = id.split(":").slice(0, -1).join(":");
  if (subgraph) handOver(detail, subgraph, blob);
}

// Before ComfyUI's own listener: its still pictures would take the animation's place.
api.addEventListener("b_preview_with_metadata", (event) => {
  const { blob, displayNodeId } = event.detail;
  if (playing.has(displayNodeId) && blob.type !== TYPE) event.stopImmediatePropagation();
});

app.registerExtension({
  name: "V-Express.Preview",
  setup() {
    api.addEventListener(EVENT, ({ detail }) => play(detail));
    api.addEventListener("executing", ({ detail }) => {
      if (detail && playing.delete(detail)) removeWidget(nodeOf(detail), WIDGET);
    });
  },
});
