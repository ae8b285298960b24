// The page is served below any path prefix, so every address in it is relative; it runs under a policy that forbids
// inline scripts and styles, so nothing may be inlined.
import { defineConfig } from 'vite';

export default defineConfig({
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../build/web/dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': 'http://127.0.0.1:13100', '/ws': { target: 'ws://127.0.0.1:13100', ws: true } } },
});
