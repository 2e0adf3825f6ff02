import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { launch, open, signIn, type Watched } from './browser';
import { type Options, type Site, startSite } from './site';

/** What each file of specs works with: its own server, its own browser and, unless told otherwise, the administrator. */
export function useConsole({ signedIn = true, ...options }: Options & { signedIn?: boolean } = {}) {
  let site: Site | undefined;
  let browser: Browser | undefined;
  let admin: Watched | undefined;
  const there = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('only inside a test');
    return value;
  };

  beforeAll(async () => {
    [site, browser] = await Promise.all([startSite(options), launch()]);
    admin = await open(browser);
    if (signedIn) await signIn(admin.page, site.url, 'admin', site.password);
  });

  afterAll(async () => {
    await browser?.close();
    await site?.stop();
  });

  afterEach(() => {
    // Content security policy, uncaught errors, requests to anybody else: none, on any page, ever.
    expect(admin?.complaints).toEqual([]);
  });

  const page = (): Page => there(admin).page;
  return {
    site: () => there(site),
    browser: () => there(browser),
    page,
    goto: async (path: string): Promise<void> => {
      await page().goto(`${there(site).url}/ui${path}`);
      await page().locator('#page-title').waitFor();
    },
    row: (text: string): Locator => page().getByRole('row').filter({ hasText: text }),
  };
}
