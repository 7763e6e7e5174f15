// What a node of the pack says is shown whole, where ComfyUI leaves room for two lines, and forgotten when it runs anew.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { grow, nodeOf, removeWidget } from "./nodes.js";

const WIDGET = "$$node-text-preview"; // ComfyUI's own
const PADDING = { x: 52, y: 34 }; // pixels around the text, the widget's margins included
const MOST = 200; // pixels; the widget scrolls what is more

const ours = (node) => node?.comfyClass?.startsWith("VExpress");

function textHeight(text, width) {
  const ruler = document.createElement("div");
  ruler.style.cssText =
    `position: absolute; visibility: hidden; width: ${width}px; font-size: 12px; line-height: 16px; ` +
    "white-space: pre-wrap; word-break: break-all;";
  ruler.textContent = text;
  document.body.append(ruler);
  const height = ruler.offsetHeight;
  ruler.remove();
  return height;
}

function showWhole(node) {
  const widget = ours(node) && node.widgets?.find((widget) => widget.name === WIDGET);
  if (!widget) return;
  widget.options.getMinHeight = () =>
    Math.min(textHeight(widget.value ?? "", node.size[0] - PADDING.x) + PADDING.y, MOST);
  grow(node);
  node.setDirtyCanvas(true, true);
}

app.registerExtension({
  name: "V-Express.Text",
  setup() {
    api.addEventListener("progress_text", ({ detail }) => requestAnimationFrame(() => showWhole(nodeOf(detail.nodeId))));
    api.addEventListener("executing", ({ detail }) => {
      const node = detail && nodeOf(detail);
      if (ours(node)) removeWidget(node, WIDGET);
    });
  },
});
