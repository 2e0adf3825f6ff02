import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The server that `npm run dev` talks to; the built console talks to the server that served it.
const server = process.env.LODGE_SERVER ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: '/ui/',
  plugins: [react()],
  build: {
    outDir: 'dist',
    // dist/.keep stays, so that the Go package embeds something before the first build;
    // scripts/clean.mjs empties the rest.
    emptyOutDir: false,
    target: 'es2022',
    // The content security policy allows no data: addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: Object.fromEntries(
      ['/api', '/auth', '/idp', '/results', '/fleet', '/workflows', '/readyz', '/healthz', '/openapi.json', '/docs'].map((path) => [
        path,
        { target: server, changeOrigin: false, ws: path === '/fleet' },
      ]),
    ),
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.{ts,tsx}'],
    restoreMocks: true,
  },
});
