import { describe, expect, it } from 'vitest';
import { barriers } from './browser';
import { useConsole } from './console';

const { site, page, goto, row } = useConsole();

describe('results', () => {
  it('tags a file and finds it by its tag', async () => {
    await site().put('/results/local?project_id=oncology', { name: 'scores.csv', type: 'text/csv', content: 'a,b\n1,2\n' });
    await goto('/results/files?project=oncology');
    await page().getByRole('button', { name: 'scores.csv', exact: true }).click();
    const drawer = page().getByRole('dialog', { name: 'scores.csv' });
    await drawer.getByLabel('Add a tag').fill('model-v2');
    await drawer.getByRole('button', { name: 'Tag', exact: true }).click();
    await drawer.getByText('model-v2', { exact: true }).waitFor();
    await page().keyboard.press('Escape');
    await page().getByRole('navigation', { name: 'Projects and tags' }).getByText('model-v2').click();
    expect(page().url()).toContain('tag=model-v2');
    await row('scores.csv').waitFor();
  });

  it('shows pictures, text and nothing of what is neither', async () => {
    const png = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
      'base64',
    );
    await site().put('/results/local?project_id=imaging', { name: 'dot.png', type: 'image/png', content: png });
    await site().put('/results/local?project_id=imaging', { name: 'fake.png', type: 'image/png', content: '<svg onload="window.hacked=1">' });
    await site().put('/results/local?project_id=imaging', { name: 'weights.bin', content: Buffer.from([0, 1, 2, 255]) });
    await goto('/results/files?project=imaging');
    await page().getByRole('button', { name: 'dot.png', exact: true }).click();
    const picture = page().getByRole('img', { name: 'Preview of dot.png' });
    await picture.waitFor();
    expect(await picture.evaluate((e: HTMLImageElement) => e.decode().then(() => e.naturalWidth))).toBe(1);
    await page().keyboard.press('Escape');
    await page().getByRole('button', { name: 'fake.png', exact: true }).click();
    await page().getByRole('region', { name: 'Preview' }).getByText('<svg onload').waitFor();
    await page().keyboard.press('Escape');
    await page().getByRole('button', { name: 'weights.bin', exact: true }).click();
    await page().getByText('neither text, CSV nor a PNG').waitFor();
    expect(await page().evaluate(() => 'hacked' in window)).toBe(false);
  });

  it('keeps what the hub cannot take, says why, and delivers it on request', async () => {
    await site().hubDown();
    const answer = await site().final('6f1c2a52-7d3b-4d62-9b0e-0f6f1b1c0a02', { name: 'waiting.bin', content: 'weights' });
    expect(answer.status).toBe(202);
    await goto('/results/uploads');
    await row('waiting.bin').getByText('waiting', { exact: true }).waitFor();
    await page().getByText(/Hub unreachable since/).waitFor();
    await page().getByRole('button', { name: /alert/ }).waitFor();
    expect(await barriers(page())).toEqual([]);
    await site().hubUp();
    await row('waiting.bin').getByRole('button', { name: 'Retry now' }).click();
    await row('waiting.bin').getByText('delivered', { exact: true }).waitFor();
  });

  it('deletes only what was typed', async () => {
    await goto('/results/files?project=imaging');
    await page().getByRole('button', { name: 'weights.bin', exact: true }).click();
    await page().getByRole('button', { name: 'Delete this file' }).click();
    const dialog = page().getByRole('dialog', { name: 'Delete the file' });
    await dialog.getByLabel(/to confirm/).fill('weights');
    expect(await dialog.getByRole('button', { name: 'Delete', exact: true }).isDisabled()).toBe(true);
    await dialog.getByLabel(/to confirm/).fill('weights.bin');
    await dialog.getByRole('button', { name: 'Delete', exact: true }).click();
    await row('weights.bin').waitFor({ state: 'detached' });
    await row('dot.png').waitFor();
  });
});
