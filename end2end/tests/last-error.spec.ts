// The last error of a transaction in the list.

import { open, row } from "./dashboard";
import { expect, failed, test } from "./operator";

test("the list shows the status that the posting service answered, and the whole error in the title", async ({
  page,
  request,
  posting,
}) => {
  await failed(request, posting, "Refused by the posting service");
  await open(page, "/?status=failed");

  const cell = row(page, "Refused by the posting service").locator(".column-error");
  await expect(cell).toHaveText(/^HTTP 4\d\d/);
  // The column cuts the text; the status must be in the part that is seen.
  const { status, end } = await cell.evaluate((cell) => {
    const text = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode() as Text;
    const range = document.createRange();
    range.setStart(text, 0);
    range.setEnd(text, "HTTP 422".length);
    return { status: range.getBoundingClientRect().right, end: cell.getBoundingClientRect().right };
  });
  expect(status).toBeLessThan(end - 16); // the padding, and room for the ellipsis
  await expect(cell).toHaveAttribute("title", /the posting service answered 4\d\d/);

  await row(page, "Refused by the posting service").getByRole("link").first().click();
  await expect(page.getByRole("main")).toContainText(/the posting service answered 4\d\d/);
});
