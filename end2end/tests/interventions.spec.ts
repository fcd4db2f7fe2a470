// Cancelling, retrying and resolving a transaction on its page.

import { randomUUID } from "node:crypto";
import type { Page } from "@playwright/test";
import { open, submitByApi } from "./dashboard";
import { call, expect, failed, inDoubt, openDialog, reaches, test } from "./operator";

test("a pending transaction is cancelled, and the timeline shows the principal and the reason", async ({ page, request }) => {
  await call(request, "/api/posting/pause");
  const id = await submitByApi(request);
  await open(page, `/transactions/${id}`);
  await expect(page.getByRole("main")).toContainText("Nothing has been sent yet.");

  const dialog = await openDialog(page, "Cancel");
  await dialog.getByLabel("Reason").fill("ordered twice");
  await dialog.getByRole("button", { name: "Cancel the transaction" }).click();

  await expect(page.getByRole("main").getByRole("status")).toContainText("Cancelled.");
  await expect(event(page, "Cancelled by anonymous")).toContainText("ordered twice");
  await expect(page.getByRole("main")).toContainText("Cancelled; nothing was sent.");
  for (const name of ["Cancel", "Retry", "Resolve"]) {
    await expect(page.getByRole("button", { name, exact: true })).toHaveCount(0);
  }
});

test("a failed transaction is retried, and completes", async ({ page, request, posting }) => {
  const id = await failed(request, posting);
  await open(page, `/transactions/${id}`);
  await expect(page.getByRole("button", { name: "Cancel", exact: true })).toHaveCount(0);

  const dialog = await openDialog(page, "Retry");
  await dialog.getByLabel("Reason").fill("the account is open again");
  await dialog.getByRole("button", { name: "Retry the transaction" }).click();

  await expect(page.getByRole("main").getByRole("status")).toContainText("Retry requested.");
  await expect(event(page, "Retried by anonymous")).toContainText("Failed → Pending");
  await expect(page.getByRole("main")).toContainText("Posted,", { timeout: 30_000 });
});

test("a transaction in doubt that Onceward cannot verify says that an operator must resolve it, and is resolved", async ({
  page,
  request,
  posting,
}) => {
  const id = randomUUID();
  await inDoubt(request, posting, id);
  await open(page, `/transactions/${id}`);
  await expect(page.getByRole("main")).toContainText("An operator must resolve it: the posting service has an entry");
  await expect(page.getByRole("main")).not.toContainText("next check");

  const dialog = await openDialog(page, "Resolve");
  await dialog.getByLabel("Completed").check();
  await dialog.getByRole("button", { name: "Resolve the transaction" }).click();
  // Nothing is sent without a reason.
  await expect(dialog).toBeVisible();
  await dialog.getByLabel("Reason").fill("corrected by hand in the ledger");
  await dialog.getByRole("button", { name: "Resolve the transaction" }).click();

  await expect(page.getByRole("main").getByRole("status")).toContainText("Resolved as completed.");
  await expect(event(page, "Resolved by anonymous")).toContainText("corrected by hand in the ledger");
  await reaches(request, id, "completed");
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("a pending transaction is cancelled", async ({ page, request }) => {
    await call(request, "/api/posting/pause");
    const id = await submitByApi(request);
    await page.goto(`/transactions/${id}`);

    const dialog = await openDialog(page, "Cancel");
    await dialog.getByLabel("Reason").fill("ordered twice");
    await dialog.getByRole("button", { name: "Cancel the transaction" }).click();

    await expect(page).toHaveURL(new RegExp(`/transactions/${id}$`));
    await expect(event(page, "Cancelled by anonymous")).toContainText("ordered twice");
  });

  test("an intervention that the state no longer permits changes nothing, and the page says so", async ({ page, request }) => {
    await call(request, "/api/posting/pause");
    const id = await submitByApi(request);
    await page.goto(`/transactions/${id}`);
    const dialog = await openDialog(page, "Retry");
    await call(request, `/api/transactions/${id}/cancel`);

    await dialog.getByRole("button", { name: "Retry the transaction" }).click();

    await expect(page.getByRole("alert").filter({ hasText: "Not done" })).toContainText("cancelled cannot be retried");
    await reaches(request, id, "cancelled");
  });
});

function event(page: Page, text: string) {
  return page.getByRole("list", { name: "Timeline" }).getByRole("listitem").filter({ hasText: text });
}
