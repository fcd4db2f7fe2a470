import { open, row } from "./dashboard";
import { expect, failed, openDialog, reaches, test } from "./operator";

test("all failed transactions are retried, and a reload keeps the progress", async ({ page, request, posting }) => {
  const first = await failed(request, posting, "The first");
  const second = await failed(request, posting, "The second");
  await open(page, "/?status=completed");
  await expect(page.getByRole("button", { name: /^Retry all/ })).toHaveCount(0);
  await page.getByRole("navigation", { name: "States" }).getByRole("link", { name: "Failed" }).click();
  await expect(row(page, "The first")).toBeVisible();

  const dialog = await openDialog(page, "Retry all 2");
  await dialog.getByLabel("Reason").fill("the accounts are open again");
  await dialog.getByRole("button", { name: "Retry all 2" }).click();

  const progress = page.getByRole("main").getByRole("status").filter({ hasText: "Retry of all finished" });
  await expect(progress).toBeVisible({ timeout: 30_000 });
  await expect(page.getByRole("main")).toContainText("2 examined, 2 retried.");
  await expect(dialog).toBeHidden();
  await page.reload();
  await expect(page.getByRole("main")).toContainText("2 examined, 2 retried.");
  await reaches(request, first, "completed");
  await reaches(request, second, "completed");

  await page.getByRole("link", { name: "Hide" }).click();
  await expect(progress).toHaveCount(0);
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("all failed transactions are retried", async ({ page, request, posting }) => {
    const id = await failed(request, posting);
    await page.goto("/?status=failed");

    const dialog = await openDialog(page, "Retry all 1");
    await dialog.getByRole("button", { name: "Retry all 1" }).click();

    await expect(page).toHaveURL(/status=failed&retry=[0-9a-f-]{36}$/);
    await reaches(request, id, "completed");
  });
});
