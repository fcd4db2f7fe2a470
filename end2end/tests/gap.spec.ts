// What the page does when the server says that it has left changes out.

import { expect, test } from "@playwright/test";
import { open, row, submitByApi, unique } from "./dashboard";

declare global {
  interface Window {
    feed: EventSource;
  }
}

test("a gap in the event stream makes the list read again what it has missed", async ({ page, request }) => {
  // The page receives no changes, as if the server had left them out.
  await page.addInitScript(() => {
    const listen = EventTarget.prototype.addEventListener;
    EventSource.prototype.addEventListener = function (name: string, listener: any) {
      window.feed = this;
      if (name !== "transactions") {
        listen.call(this, name, listener);
      }
    };
  });
  // Once it is live, the page reads the list anew.
  const reloaded = page.waitForResponse(/list_transactions/);
  await open(page, "/");
  await (await reloaded).finished();

  const description = unique("Missed");
  await submitByApi(request, { description });
  await expect(row(page, description)).toHaveCount(0);
  await page.evaluate(() => window.feed.dispatchEvent(new MessageEvent("gap", { data: "{}" })));
  await expect(row(page, description)).toBeVisible();
});
