// The size of the download. Independent of the size of the window: runs once.

import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { expect, test } from "@playwright/test";

test("the page's WASM is sent as Brotli, and is under 300 KB", async ({ page }) => {
  const wasm = page.waitForResponse((response) => response.url().endsWith(".wasm"));
  await page.goto("/");

  // Playwright shows the decompressed body; this counts the bytes sent over the network.
  const [answer] = (await once(
    get((await wasm).url(), { headers: { "accept-encoding": "br" } }),
    "response",
  )) as [IncomingMessage];
  let size = 0;
  for await (const chunk of answer) {
    size += chunk.length;
  }

  expect(answer.headers).toMatchObject({ "content-type": "application/wasm", "content-encoding": "br" });
  expect(size).toBeLessThan(300_000);
});
