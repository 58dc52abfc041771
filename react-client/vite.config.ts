import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The Python package serves the page from this folder, so that an installed wheel needs no Node.
const PAGE_INSIDE_PYTHON_PACKAGE = '../echo_trio/console/page';

export default defineConfig({
  plugins: [react()],
  // Relative addresses: the page works under whatever path it is served from.
  base: './',
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
  preview: { host: '127.0.0.1' },
  build: { outDir: PAGE_INSIDE_PYTHON_PACKAGE, emptyOutDir: true },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/testing/setup.ts'],
    restoreMocks: true,
  },
});
