import { App } from "@h5web/app";
import { H5WasmBufferProvider } from "@h5web/h5wasm";
import "@h5web/app/styles.css";
import { createElement } from "react";
import { createRoot } from "react-dom/client";

const name = new URLSearchParams(location.search).get("file");
const buffer = await (await fetch(name)).arrayBuffer();
const app = createElement(App, { disableDarkMode: true });
createRoot(document.getElementById("root")).render(
  createElement(H5WasmBufferProvider, { filename: name, buffer }, app),
);
