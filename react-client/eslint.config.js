import { readdirSync } from 'node:fs';
import { URL } from 'node:url';

import js from '@eslint/js';
import importPlugin from 'eslint-plugin-import';
import jsxA11y from 'eslint-plugin-jsx-a11y';
import reactHooks from 'eslint-plugin-react-hooks';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const features = readdirSync(new URL('src/features', import.meta.url));

/** Imports flow shared → features → app, and features do not know each other. */
const layers = [
  { target: './src/lib', from: ['./src/components', './src/features', './src/app'] },
  { target: './src/components', from: ['./src/features', './src/app'] },
  ...features.map((feature) => ({
    target: `./src/features/${feature}`,
    from: ['./src/app', './src/features'],
    except: [`./${feature}`],
  })),
].flatMap(({ from, ...zone }) =>
  from.map((folder) => ({
    ...zone,
    from: folder,
    // An exception is relative to its folder, and only the features' folder has one.
    except: folder === './src/features' ? (zone.except ?? []) : [],
  })),
);

export default defineConfig(
  globalIgnores(['playwright-report', 'test-results']),
  js.configs.recommended,
  jsxA11y.flatConfigs.strict,
  reactHooks.configs.flat['recommended-latest'],
  {
    files: ['**/*.{ts,tsx}'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  {
    plugins: { import: importPlugin },
    settings: {
      'import/parsers': { '@typescript-eslint/parser': ['.ts', '.tsx'] },
      'import/resolver': { node: { extensions: ['.ts', '.tsx', '.js'] } },
    },
    rules: {
      // Other people's packages import none of ours: to read them takes longer than all else.
      'import/no-cycle': ['error', { ignoreExternal: true }],
      'import/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones: layers }],
    },
  },
  {
    files: ['src/**/*.tsx'],
    rules: {
      // It warns of what the React compiler skips, and this page is built without that compiler.
      'react-hooks/incompatible-library': 'off',
      // A scrolling region must be reachable by keyboard; role="log" is such a region here.
      'jsx-a11y/no-noninteractive-tabindex': ['error', { roles: ['log'] }],
    },
  },
  {
    files: ['e2e/**'],
    // Playwright's `use` is no React hook.
    rules: { 'react-hooks/rules-of-hooks': 'off' },
  },
);
