// What a second visit of the page downloads.

import { expect, test } from "@playwright/test";
import { open, submitByApi, unique } from "./dashboard";

test("a second visit transfers less than 15 KB", async ({ page, request, context }) => {
  // A full list, with nothing in it that compresses well.
  for (let count = 0; count < 50; count++) {
    await submitByApi(request, { description: unique("Order"), reference: unique("order") });
  }
  await open(page, "/");
  await page.close();

  const second = await context.newPage();
  const devtools = await context.newCDPSession(second);
  await devtools.send("Network.enable");
  const urls = new Map<string, string>();
  const transferred = new Map<string, number>();
  devtools.on("Network.requestWillBeSent", ({ requestId, request }) => urls.set(requestId, request.url));
  // The event stream never finishes, so bytes are added up as they arrive.
  devtools.on("Network.dataReceived", ({ requestId, encodedDataLength }) =>
    transferred.set(requestId, (transferred.get(requestId) ?? 0) + encodedDataLength),
  );
  devtools.on("Network.loadingFinished", ({ requestId, encodedDataLength }) =>
    transferred.set(requestId, encodedDataLength),
  );
  // Once it is live, the page reads the list anew.
  const reloaded = second.waitForResponse(/list_transactions/);
  await open(second, "/");
  await (await reloaded).finished();

  const byUrl = [...transferred].map(([id, bytes]) => `${bytes} ${urls.get(id)}`).join("\n");
  const all = [...transferred.values()].reduce((sum, bytes) => sum + bytes, 0);
  expect(all, byUrl).toBeLessThan(15_000);
  for (const [id, url] of urls) {
    if (url.includes("/pkg/")) {
      expect(transferred.get(id) ?? 0, url).toBe(0);
    }
  }
});
