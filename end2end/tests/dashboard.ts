// How the tests open pages of the dashboard, and find and fill their elements as a user would.

import { randomUUID } from "node:crypto";
import { type APIRequestContext, expect, type Locator, type Page } from "@playwright/test";

/** Long enough for a transaction that meets a few faults. */
export const completion = { timeout: 45_000 };

/** A unique description, by which a test finds its transaction among those of other tests. */
export function unique(description: string): string {
  return `${description} ${randomUUID().slice(0, 8)}`;
}

/** Opens a page and waits until it is live: hydrated, and connected to the change feed. */
export async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await expect(page.getByRole("status").filter({ hasText: "Live" })).toBeVisible();
}

export function field(page: Page, label: string): Locator {
  return page.getByRole("form", { name: "Submit a transaction" }).getByLabel(label);
}

export async function fill(page: Page, values: Record<string, string>): Promise<void> {
  for (const [label, value] of Object.entries(values)) {
    await field(page, label).fill(value);
  }
}

export async function submit(page: Page): Promise<void> {
  await page
    .getByRole("form", { name: "Submit a transaction" })
    .getByRole("button", { name: "Submit" })
    .click();
}

/** The row of the list that mentions a text. */
export function row(page: Page, text: string): Locator {
  return page.getByRole("table", { name: "Transactions" }).getByRole("row").filter({ hasText: text });
}

/** Expects an error at a field, tied to it so that a screen reader reads both. */
export async function expectError(page: Page, label: string): Promise<void> {
  await expect(field(page, label)).toHaveAttribute("aria-invalid", "true");
  await expect(field(page, label)).toHaveAccessibleDescription(/\S/);
}

/** Submits as a program would, and returns the transaction's id. */
export async function submitByApi(
  request: APIRequestContext,
  transaction: Record<string, unknown> = {},
): Promise<string> {
  const answer = await request.post("/api/transactions", {
    data: { amount: 100.5, currency: "USD", ...transaction },
  });
  expect(answer.status()).toBe(202);
  return (await answer.json()).transactionId;
}

/** Waits until a transaction that a program submitted has completed. */
export async function completed(request: APIRequestContext, id: string): Promise<void> {
  const status = async () => (await (await request.get(`/api/transactions/${id}`)).json()).status;
  await expect.poll(status, completion).toBe("completed");
}
