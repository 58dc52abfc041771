import { expectNothingSideways, expectNoViolation, PHONE, ROOMY } from './axe';
import { expect, test } from './fixtures';

test('axe finds nothing wrong with any view of a running server, in both themes', async ({
  page,
  consoled,
}) => {
  // axe looks at every element, several times over.
  test.slow();
  expect(consoled.url).not.toBe('');
  await page.getByRole('tab', { name: 'Load' }).click();
  await page.getByRole('textbox', { name: 'Sockets' }).fill('3');
  await page.getByRole('textbox', { name: 'Duration' }).fill('1s');
  await page.getByRole('button', { name: 'Start the run' }).click();
  await expect(page.getByText('Finished: the report is complete')).toBeVisible();
  await page.getByText('More settings').click();
  await page.getByRole('figure', { name: 'Throughput' }).getByText('Table').click();
  await expectNoViolation(page, [ROOMY]);

  await page.getByRole('tab', { name: 'Server' }).click();
  await page.getByRole('button', { name: 'Show the tasks' }).click();
  await expect(page.getByText(/\d+ tasks at /)).toBeVisible();
  await expectNoViolation(page, [ROOMY]);
  await page.getByRole('button', { name: 'Keyboard shortcuts' }).click();
  await expect(page.getByRole('dialog')).toBeVisible();
  await expectNoViolation(page, [ROOMY]);
});

test.describe('on a phone', () => {
  test.use({ viewport: PHONE });

  test('no view of a running server needs scrolling sideways', async ({ page, consoled }) => {
    expect(consoled.url).not.toBe('');
    await page.getByRole('tab', { name: 'Server' }).click();
    await expect(page.getByRole('figure', { name: 'Memory' })).toBeVisible();
    await page.getByRole('button', { name: 'Show the tasks' }).click();
    await expect(page.getByText(/\d+ tasks at /)).toBeVisible();
    await expectNothingSideways(page);
    await page.getByRole('tab', { name: 'Load' }).click();
    await page.getByRole('textbox', { name: 'Sockets' }).fill('3');
    await page.getByRole('textbox', { name: 'Duration' }).fill('1s');
    await page.getByRole('button', { name: 'Start the run' }).click();
    await expect(page.getByText('Finished: the report is complete')).toBeVisible();
    await page.getByRole('button', { name: 'Start the run' }).click();
    await expect(page.getByRole('region', { name: 'Figures compared' })).toBeVisible();
    await expectNothingSideways(page);
    // What scrolls sideways by itself can be scrolled by keyboard.
    await expectNoViolation(page, [PHONE]);
  });
});
