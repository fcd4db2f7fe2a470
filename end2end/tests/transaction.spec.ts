import { expect, test } from "@playwright/test";
import { completed, completion, open, submitByApi, unique } from "./dashboard";

test("the page of a transaction shows its state and its attempts", async ({ page, request }) => {
  const description = unique("Attempted");
  const id = await submitByApi(request, { description });
  await completed(request, id);

  await page.goto(`/transactions/${id}`);

  await expect(page.getByRole("heading", { level: 1 })).toContainText(id.slice(-8));
  await expect(page.getByRole("main")).toContainText(description);
  await expect(page.getByRole("main").getByText("Completed", { exact: true }).first()).toBeVisible();
  // If the answer to an attempt was lost, a verification has found the entry.
  const timeline = page.getByRole("list", { name: "Timeline" });
  await expect(timeline.getByRole("listitem").first()).toContainText("#1");
  await expect(timeline).toContainText(/posted|found/);
});

test("the page of a transaction follows it until it has completed, without a reload", async ({ page, request }) => {
  let loads = 0;
  page.on("load", () => loads++);
  const id = await submitByApi(request);

  await open(page, `/transactions/${id}`);

  await expect(page.getByRole("main").getByText("Completed", { exact: true }).first()).toBeVisible(completion);
  expect(loads).toBe(1);
});
