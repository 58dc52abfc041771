import js from '@eslint/js';
import jsxA11y from 'eslint-plugin-jsx-a11y';
import reactHooks from 'eslint-plugin-react-hooks';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

import { layers } from './eslint-layers.js';

export default defineConfig(
  globalIgnores(['playwright-report', 'test-results']),
  js.configs.recommended,
  jsxA11y.flatConfigs.strict,
  {
    // What compiles each file as React's compiler does, where there is something of React's in it.
    ...reactHooks.configs.flat['recommended-latest'],
    files: ['src/**/*.tsx', 'src/**/use-*.ts', 'src/lib/*.ts', 'src/app/*.ts'],
    ignores: ['**/*.test.ts', '**/*.test.tsx'],
  },
  {
    files: ['**/*.{ts,tsx}'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      // All of it at once: to make up a second program takes as long as all rules together.
      parserOptions: { project: './tsconfig.lint.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    files: ['src/**'],
    plugins: { own: { rules: { layers } } },
    // Cycles are found by the bundler, which reads all modules anyway: see vite.config.ts.
    rules: { 'own/layers': 'error' },
  },
  {
    files: ['src/**/*.tsx'],
    ignores: ['**/*.test.tsx'],
    rules: {
      // It warns of what the React compiler skips, and this page is built without that compiler.
      'react-hooks/incompatible-library': 'off',
    },
  },
  {
    files: ['src/**/*.tsx'],
    rules: {
      // A scrolling region must be reachable by keyboard; role="log" is such a region here.
      'jsx-a11y/no-noninteractive-tabindex': ['error', { roles: ['log'] }],
    },
  },
);
