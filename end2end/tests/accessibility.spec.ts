import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "@playwright/test";
import { completed, row, submitByApi, unique } from "./dashboard";

const levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

for (const colorScheme of ["light", "dark"] as const) {
  test.describe(`in ${colorScheme} colours`, () => {
    test.use({ colorScheme });

    test("the list has no accessibility violations", async ({ page, request }) => {
      const description = unique("Accessible");
      await submitByApi(request, { description });
      await page.goto("/");
      await expect(row(page, description)).toBeVisible();

      await expectAccessible(new AxeBuilder({ page }));
    });

    test("the page of a transaction has no accessibility violations", async ({ page, request }) => {
      const id = await submitByApi(request);
      await completed(request, id);
      await page.goto(`/transactions/${id}`);

      await expectAccessible(new AxeBuilder({ page }));
    });
  });
}

async function expectAccessible(axe: AxeBuilder): Promise<void> {
  const { violations } = await axe.withTags(levels).analyze();
  const said = violations.map(({ help, nodes }) => `${help}: ${nodes.map((node) => node.html).join(", ")}`);
  expect(said).toEqual([]);
}
