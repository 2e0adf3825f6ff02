import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page, type Request } from 'playwright-core';

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
  });
}

/** A page that keeps a list of everything that a browser complains about. */
export interface Watched {
  readonly page: Page;
  readonly complaints: string[];
  /** Waits until nothing is being loaded, but for the lines that changes and logs are pushed through. */
  readonly quiet: () => Promise<void>;
}

export async function open(browser: Browser, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, locale: 'en-GB', ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints: string[] = [];
  watch(page, complaints);
  context.on('page', (other) => watch(other, complaints));
  const loading = new Set<Request>();
  page.on('request', (r) => {
    if (!/\/events$|[?&]follow=true/.test(r.url())) loading.add(r);
  });
  page.on('requestfinished', (r) => loading.delete(r));
  page.on('requestfailed', (r) => loading.delete(r));
  const quiet = async () => {
    // A page that has what it asked for may ask for more once it is drawn: quiet is two frames without.
    for (let frames = 0; frames < 2; frames++) {
      if (loading.size > 0) frames = -1;
      await page.evaluate(() => new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next))));
    }
  };
  return { page, complaints, quiet };
}

function watch(page: Page, complaints: string[]): void {
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    // Chromium reports violations of the content security policy as errors on its console. An answer
    // that is no success is the page's business, and tested as such.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      complaints.push(message.text());
    }
  });
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol.startsWith('http') && hostname !== '127.0.0.1' && !hostname.endsWith('.apps.localhost')) complaints.push(`third party: ${request.url()}`);
  });
}

/** Logs in through the provider's own page. */
export async function signIn(page: Page, url: string, login: string, password: string, path = '/ui/'): Promise<void> {
  await page.goto(url + path);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await fillLogin(page, login, password);
  await page.locator('#page-title').waitFor();
}

export async function fillLogin(page: Page, login: string, password: string): Promise<void> {
  await page.locator('input[name=login]').fill(login);
  await page.locator('input[name=password]').fill(password);
  await page.locator('button[type=submit]').click();
}

/** What a person with a screen reader, a keyboard or weak eyes would stumble over. */
export async function barriers(page: Page): Promise<string[]> {
  // Faded text on its way in or out has too little contrast for a moment, and a transition may begin a
  // few frames after what caused it: the page has to stand still for a while.
  await page.evaluate(async () => {
    const moves = (a: Animation) => a.playState === 'running' && a.effect?.getTiming().iterations !== Infinity;
    for (let still = 0; still < 10; still++) {
      await new Promise((next) => requestAnimationFrame(next));
      if (document.getAnimations().some(moves)) still = -1;
    }
  });
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const run = (window as unknown as { axe: typeof axe }).axe;
    const result = await run.run(document, { resultTypes: ['violations'] });
    return result.violations.map((v) => ({ impact: v.impact, id: v.id, nodes: v.nodes.map((n) => `${n.html} — ${n.failureSummary ?? ''}`) }));
  });
  return found
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${page.url()} ${v.impact ?? ''} ${v.id}: ${v.nodes.slice(0, 3).join('\n    ')}`);
}

/** Drops files on an element, as a drag from the desktop does. */
export async function drop(target: Locator, files: readonly { name: string; type: string; content: string }[]): Promise<void> {
  const transfer = await target.page().evaluateHandle((list) => {
    const data = new DataTransfer();
    for (const f of list) data.items.add(new File([f.content], f.name, { type: f.type }));
    return data;
  }, files);
  await target.dispatchEvent('dragenter', { dataTransfer: transfer });
  await target.dispatchEvent('dragover', { dataTransfer: transfer });
  await target.dispatchEvent('drop', { dataTransfer: transfer });
}
