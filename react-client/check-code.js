/*
 * Lints all code and checks its types, in one process: `node check-code.js`. Both need the same
 * program of TypeScript's, and to make it up and find each type takes longer than what is done with
 * them. What it finds is what `eslint . --max-warnings 0` and `tsc -p tsconfig.lint.json` find; the
 * page's own sources are also checked without the types of Node, by `npm run typecheck:page`.
 *
 * Exit code 1 if anything is wrong.
 */
import path from 'node:path';
import process from 'node:process';

import { ESLint } from 'eslint';
import ts from 'typescript';

const FOLDER = import.meta.dirname;
const CONFIG = path.join(FOLDER, 'tsconfig.lint.json');

const host = {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: (problem) => {
    throw new Error(ts.flattenDiagnosticMessageText(problem.messageText, '\n'));
  },
};
const parsed = ts.getParsedCommandLineOfConfigFile(CONFIG, {}, host);
const program = ts.createProgram(parsed.fileNames, parsed.options);

const eslint = new ESLint({
  cwd: FOLDER,
  overrideConfig: {
    files: ['**/*.{ts,tsx}'],
    languageOptions: { parserOptions: { project: null, programs: [program] } },
  },
});
const linted = await eslint.lintFiles(['.']);
const formatter = await eslint.loadFormatter('stylish');
process.stdout.write(await formatter.format(linted));

const problems = [...parsed.errors, ...ts.getPreEmitDiagnostics(program)];
process.stdout.write(
  ts.formatDiagnosticsWithColorAndContext(problems, {
    getCurrentDirectory: () => FOLDER,
    getCanonicalFileName: (name) => name,
    getNewLine: () => '\n',
  }),
);

const isClean = linted.every(({ errorCount, warningCount }) => errorCount + warningCount === 0);
process.exitCode = isClean && problems.length === 0 ? 0 : 1;
