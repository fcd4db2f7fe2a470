// Every state of the pages that an operator uses, at two sizes and in both colour schemes: accessible, and
// not too wide.

import { randomUUID } from "node:crypto";
import type { Page } from "@playwright/test";
import { expectAccessible, expectNoOverflow } from "./appearance";
import { open, submitByApi } from "./dashboard";
import { bar, call, expect, failed, inDoubt, openDialog, test } from "./operator";

/** With a long word, such as a pasted link. */
const reason = `because of https://example.com/${"x".repeat(60)}`;

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`in ${colorScheme} colours`, () => {
    test.use({ colorScheme });
    test.setTimeout(120_000); // each checks several states, and a check takes seconds

    test("a pause, its dialog and a transaction that it delays", async ({ page, request }) => {
      await open(page, "/");
      await expectDialog(page, "Pause posting");

      await call(request, "/api/posting/pause", { reason });
      const id = await submitByApi(request);
      await open(page, `/transactions/${id}`);
      await expect(bar(page, "Posting is paused")).toBeVisible();

      await expectGoodAppearance(page);
      await expectDialog(page, "Cancel");
      await expectDialog(page, "Retry");
    });

    test("a transaction in doubt, its dialog and its resolution", async ({ page, request, posting }) => {
      const id = randomUUID();
      await inDoubt(request, posting, id);
      await open(page, `/transactions/${id}`);
      await expectGoodAppearance(page);
      await expectDialog(page, "Resolve");

      await call(request, `/api/transactions/${id}/resolve`, { status: "failed", reason });
      await expect(page.getByRole("list", { name: "Timeline" })).toContainText("Resolved");
      await expectGoodAppearance(page);
    });

    test("a bulk retry and its progress", async ({ page, request, posting }) => {
      await failed(request, posting);
      await open(page, "/?status=failed");
      const dialog = await expectDialog(page, "Retry all 1");
      await page.getByRole("button", { name: "Retry all 1" }).click();
      await dialog.getByRole("button", { name: "Retry all 1" }).click();

      await expect(page.getByRole("main").getByText("Retry of all finished")).toBeVisible();
      await expectGoodAppearance(page);
    });
  });
}

async function expectGoodAppearance(page: Page): Promise<void> {
  await expectAccessible(page);
  await expectNoOverflow(page);
}

/** Opens a dialog, checks it, and closes it with the keyboard; the focus must return to the button. */
async function expectDialog(page: Page, button: string) {
  const dialog = await openDialog(page, button);
  await expectGoodAppearance(page);
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("button", { name: button, exact: true })).toBeFocused();
  return dialog;
}
