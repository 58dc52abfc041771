import { useCallback, useEffect, useState } from 'react';

import { lazyModule } from '../../lib/lazy-part';
import { type BinaryChoice, choiceOf, keepChoice } from './binary-choice';
import type * as Decoders from './decoders';

/** Most servers send text. */
const loadDecoders = lazyModule(() => import('./decoders'));

interface Chosen {
  readonly choice: BinaryChoice;
  /** Remembers it for the address. */
  readonly choose: (change: Partial<BinaryChoice>) => void;
  /** `undefined` until they are here, and as long as nothing has to be decoded. */
  readonly decoders: typeof Decoders | undefined;
}

/** How the messages of a connection are read: what was last chosen for its address. */
export function useBinaryChoice(address: string): Chosen {
  const [known, setKnown] = useState(() => ({ address, choice: choiceOf(address) }));
  if (known.address !== address) setKnown({ address, choice: choiceOf(address) });
  const { choice } = known;
  const [decoders, setDecoders] = useState<typeof Decoders>();

  const isDecoded = choice.decoder !== 'hex';
  useEffect(() => {
    if (!isDecoded) return;
    loadDecoders().then(
      (module) => setDecoders(() => module),
      // Gone with the server that served the page: rows stay as they are without.
      () => undefined,
    );
  }, [isDecoded]);

  const choose = useCallback(
    (change: Partial<BinaryChoice>) => {
      const chosen = { ...choice, ...change };
      keepChoice(address, chosen);
      setKnown({ address, choice: chosen });
    },
    [address, choice],
  );
  return { choice, choose, decoders: isDecoded ? decoders : undefined };
}
