import { defineConfig } from 'vite';

// Three files under fixed names: the Rust side (src/console/page.rs) embeds them by these. No source maps,
// no polyfills, nothing from elsewhere.
export default defineConfig({
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: 'console.js',
        assetFileNames: (asset) =>
          asset.names.some((name) => name.endsWith('.css')) ? 'console.css' : '[name][extname]',
      },
    },
  },
});
