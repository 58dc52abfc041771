import path from 'node:path';

const SOURCES = path.join(import.meta.dirname, 'src');

/** For each folder of `src`, those that it may not import from. */
const FORBIDDEN = {
  lib: ['components', 'features', 'app'],
  components: ['features', 'app'],
  features: ['app'],
};

/** `src/features/load/x.ts` → its layer, and the feature that it belongs to. */
function placeOf(file) {
  const [layer = '', part = ''] = path.relative(SOURCES, file).split(path.sep);
  return { layer, feature: layer === 'features' ? part : null };
}

/**
 * Reports imports against the flow shared → features → app, and of one feature into another.
 *
 * By the paths alone: our imports are relative, so that nothing has to be looked up.
 */
export const layers = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const from = placeOf(context.filename);
    const check = ({ source }) => {
      if (typeof source?.value !== 'string' || !source.value.startsWith('.')) return;
      const to = placeOf(path.resolve(path.dirname(context.filename), source.value));
      const isUpwards = FORBIDDEN[from.layer]?.includes(to.layer) ?? false;
      const isAcross = from.feature !== null && to.feature !== null && from.feature !== to.feature;
      if (!isUpwards && !isAcross) return;
      const place = ({ layer, feature }) => (feature === null ? layer : `${layer}/${feature}`);
      context.report({
        node: source,
        message: `src/${place(from)} may not import from src/${place(to)}: imports flow shared → features → app.`,
      });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};

export default { meta: { name: 'own' }, rules: { layers } };
