import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

const serverUrl = process.env.MILLRACE_URL ?? 'http://127.0.0.1:7070'

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: 'dist',
    target: 'es2023',
    // The page's content security policy allows only files of this origin: nothing is inlined as a data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 500,
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/v1': { target: serverUrl, ws: true, changeOrigin: true } },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
})
