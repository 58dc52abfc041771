import type { BuildOptions } from 'vite';

/**
 * Fails the build where modules of ours import each other in a circle. The bundler reads all
 * modules anyway; a linter that parsed each once more for this took longer than all its rules.
 *
 * @throws Error that names the modules of the circle.
 */
export const noCycles = {
  checks: { circularDependency: true },
  onLog(level, log, report) {
    if (log.code !== 'CIRCULAR_DEPENDENCY') report(level, log);
    else if (!log.message.includes('node_modules')) throw new Error(log.message);
  },
} satisfies NonNullable<BuildOptions['rolldownOptions']>;
