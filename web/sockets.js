// The pack's own kinds of socket have a colour each, dots and links alike, in classic nodes and in Nodes 2.0.
// A palette of the user's that names a kind goes before.
import { app } from "../../scripts/app.js";

const COLOURS = {
  VEXPRESS_KPS: "#26b8a5",
  VEXPRESS_AUDIO: "#a9bb36",
  VEXPRESS_AUDIO_PROJECTION: "#7d8f3c",
  VEXPRESS_REFERENCE: "#dd8a6c",
  VEXPRESS_REFERENCE_NET: "#a86e58",
  VEXPRESS_PLACEMENT: "#7f8df2",
};

// ComfyUI empties the colour of every kind that a newly chosen palette does not name.
function give(colours, kind) {
  let chosen = colours[kind];
  Object.defineProperty(colours, kind, {
    get: () => chosen || COLOURS[kind],
    set: (colour) => (chosen = colour),
    enumerable: true,
    configurable: true,
  });
}

app.registerExtension({
  name: "V-Express.Sockets",
  setup() {
    for (const kind of Object.keys(COLOURS)) {
      give(app.canvas.default_connection_color_byType, kind);
      give(LGraphCanvas.link_type_colors, kind);
    }
    const style = document.createElement("style");
    const variables = Object.entries(COLOURS).map(([kind, colour]) => `--color-datatype-${kind}: ${colour};`);
    style.textContent = `:root { ${variables.join(" ")} }`;
    document.head.append(style);
  },
});
