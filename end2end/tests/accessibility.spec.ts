import { expect, test } from "@playwright/test";
import { expectAccessible } from "./appearance";
import { completed, row, submitByApi, unique } from "./dashboard";

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`in ${colorScheme} colours`, () => {
    test.use({ colorScheme });

    test("the list has no accessibility violations", async ({ page, request }) => {
      const description = unique("Accessible");
      await submitByApi(request, { description });
      await page.goto("/");
      await expect(row(page, description)).toBeVisible();

      await expectAccessible(page);
    });

    test("the page of a transaction has no accessibility violations", async ({ page, request }) => {
      const id = await submitByApi(request);
      await completed(request, id);
      await page.goto(`/transactions/${id}`);

      await expectAccessible(page);
    });

    test("the audit has no accessibility violations", async ({ page, request }) => {
      await request.get("/api/audit/export");
      await page.goto("/audit");
      await expect(page.getByRole("heading", { name: "Audit" })).toBeVisible();

      await expectAccessible(page);
    });
  });
}
