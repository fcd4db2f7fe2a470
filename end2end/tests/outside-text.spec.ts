// Texts of clients and operators that are written from right to left, or turn the text around them.

import type { APIRequestContext, Locator } from "@playwright/test";
import { open, row, submitByApi, unique } from "./dashboard";
import { call, expect, test } from "./operator";

const override = "\u202e"; // RIGHT-TO-LEFT OVERRIDE
const hebrew = "תשלום";

/** Where a text in an element begins on the screen, from the left. */
async function position(element: Locator, text: string): Promise<number> {
  return element.evaluate((element, text) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode as Text;
      const at = node.data.indexOf(text);
      if (at >= 0) {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + text.length);
        return range.getBoundingClientRect().left;
      }
    }
    throw new Error(`no text ${text}`);
  }, text);
}

async function cancelled(request: APIRequestContext, reason: string): Promise<string> {
  await call(request, "/api/posting/pause");
  const id = await submitByApi(request);
  await call(request, `/api/transactions/${id}/cancel`, { reason });
  await call(request, "/api/posting/resume");
  return id;
}

for (const [kind, text] of [["an override", `${override}1 abc`], ["Hebrew", `${hebrew} 1`]] as const) {
  test(`${kind} in a description does not turn the reference beside it`, async ({ page, request }) => {
    const reference = unique("42 ref");
    await submitByApi(request, { description: text, reference });

    await open(page, "/");

    const cell = row(page, reference).locator(".column-text");
    const separator = await position(cell, "·");
    const number = await position(cell, "42");
    const word = await position(cell, "ref");
    expect(separator).toBeLessThan(number);
    expect(number).toBeLessThan(word);
    expect(await cell.innerText()).not.toContain(override);
    expect(await cell.getAttribute("title")).not.toContain(override);
  });

  test(`${kind} in a reason does not turn the quotation marks around it`, async ({ page, request }) => {
    const id = await cancelled(request, text);

    await open(page, `/transactions/${id}`);

    const reason = page.getByRole("list", { name: "Timeline" }).locator("p").filter({ hasText: "“" });
    const opening = await position(reason, "“");
    const closing = await position(reason, "”");
    expect(opening).toBeLessThan(closing);
    expect(await reason.innerText()).not.toContain(override);
  });

  test(`${kind} in metadata does not move a value before its name`, async ({ page, request }) => {
    const id = await submitByApi(request, { metadata: { [text]: 7755 } });

    await page.goto(`/transactions/${id}`);

    const json = page.locator("dd pre");
    const name = await position(json, '"');
    const colon = await position(json, ":");
    const value = await position(json, "7755");
    expect(name).toBeLessThan(value);
    expect(colon).toBeLessThan(value);
  });
}
