// What a project imports from the package: `import { defineConfig } from 'millrace'`.
export { defineConfig, type MillraceConfig } from './app/config.ts'
