import { useMemo } from 'react';

import type { ValueAction } from '../../components/chosen-value';
import panel from '../../components/panel.module.css';
import { ValueTreeView } from '../../components/value-tree-view';
import { type BinaryChoice, DECODER_NAMES, DECODERS } from './binary-choice';
import { beginning, hexOf } from './content';
import { ContentProblem } from './content-problem';
import type * as Decoders from './decoders';
import { writeHex } from './hex';
import { ContentFrame, PlainContent } from './message-content';
import { ProtobufSettings } from './protobuf-settings';

/** How binary messages of a connection are read. */
export interface BinaryReader {
  readonly address: string;
  readonly choice: BinaryChoice;
  readonly choose: (change: Partial<BinaryChoice>) => void;
  /** `undefined` until they have come. */
  readonly decoders: typeof Decoders | undefined;
}

interface BinaryContentProps {
  bytes: Uint8Array;
  reader: BinaryReader;
  actions: readonly ValueAction[];
  save: () => void;
}

const FORMS = DECODERS.map((key) => ({ key, caption: DECODER_NAMES[key] }));

/** What a binary message carries, as the decoder that was chosen for its connection reads it. */
export function BinaryContent({ bytes, reader, actions, save }: BinaryContentProps) {
  const { address, choice, choose, decoders } = reader;
  const { decoder, descriptor, messageType } = choice;
  const decoded = useMemo(
    () => decoders?.decode(bytes, { decoder, descriptor, messageType }),
    [decoders, bytes, decoder, descriptor, messageType],
  );
  const { tree = null, text = null, problem = null } = decoded ?? {};
  const isText = tree === null && text !== null;
  return (
    <ContentFrame
      forms={FORMS}
      form={decoder}
      onForm={(chosen) => {
        choose({ decoder: chosen });
      }}
      whole={() => text ?? tree?.text ?? writeHex(bytes)}
      save={save}
    >
      {decoder === 'protobuf' && decoders !== undefined && (
        <ProtobufSettings choice={choice} choose={choose} decoders={decoders} />
      )}
      {problem !== null && <ContentProblem problem={problem} />}
      {tree !== null && (
        // With another decoder it is another tree.
        <ValueTreeView
          key={`${decoder} ${messageType} ${String(descriptor.length)}`}
          tree={tree}
          label={DECODER_NAMES[decoder]}
          actions={actions}
        />
      )}
      {isText && (
        <PlainContent
          shown={beginning({ text, isCut: false })}
          name={DECODER_NAMES[decoder]}
          isHex={false}
        />
      )}
      {tree === null && (!isText || problem !== null) && (
        <PlainContent shown={hexOf(bytes)} name={DECODER_NAMES.hex} isHex />
      )}
      {decoder !== 'hex' && (
        <p className={panel.note}>
          {decoders === undefined
            ? 'The decoder is being fetched.'
            : `So all binary messages of ${address} are read, until you choose otherwise.`}
        </p>
      )}
    </ContentFrame>
  );
}
