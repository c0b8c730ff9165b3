export type Data = Readonly<Record<string, unknown>>;

/** Answers one request. A {@link Refusal} that it throws refuses it. */
export type Respond = (data: Data) => Data | undefined | Promise<Data | undefined>;

/** A request that the fake refuses. */
export class Refusal extends Error {
  readonly code: number;

  /** @param comment - None is sent when it is empty. */
  constructor(code: number, comment = '') {
    super(comment);
    this.code = code;
  }
}

/** The statuses of requests that the fake uses. */
export const Status = {
  MissingRequestType: 203,
  UnknownRequestType: 204,
  UnsupportedExecutionType: 206,
  MissingField: 300,
  MissingData: 301,
  InvalidFieldType: 401,
  InvalidFieldSize: 403,
  NotFound: 600,
  AlreadyExists: 601,
} as const;

/** The scenes, inputs and the studio mode of a fake OBS. */
export class FakeScenes {
  readonly #emit: (eventType: string, eventData: Data) => void;
  readonly #scenes = ['Scene', 'Camera'];
  #program = 'Scene';
  readonly #inputs = new Map<string, string>();
  #studioMode = false;

  constructor(emit: (eventType: string, eventData: Data) => void) {
    this.#emit = emit;
  }

  answers(): Record<string, Respond> {
    return {
      GetSceneList: () => ({
        currentProgramSceneName: this.#program,
        currentPreviewSceneName: this.#studioMode ? this.#program : null,
        scenes: this.#list(),
      }),
      GetCurrentProgramScene: () => ({ currentProgramSceneName: this.#program }),
      SetCurrentProgramScene: ({ sceneName }) => {
        this.#program = this.#known(this.#scenes, sceneName);
        this.#emit('CurrentProgramSceneChanged', { sceneName: this.#program });
        return undefined;
      },
      CreateScene: ({ sceneName }) => {
        if (this.#scenes.includes(String(sceneName))) {
          throw new Refusal(Status.AlreadyExists, 'A source already exists by that scene name.');
        }
        this.#scenes.push(String(sceneName));
        this.#emit('SceneCreated', { sceneName, isGroup: false });
        this.#emit('SceneListChanged', { scenes: this.#list() });
        return {};
      },
      RemoveScene: ({ sceneName }) => {
        const scene = this.#known(this.#scenes, sceneName);
        this.#scenes.splice(this.#scenes.indexOf(scene), 1);
        this.#emit('SceneRemoved', { sceneName, isGroup: false });
        this.#emit('SceneListChanged', { scenes: this.#list() });
        return undefined;
      },
      GetInputList: () => ({
        inputs: [...this.#inputs].map(([inputName, inputKind]) => ({
          inputName,
          inputKind,
          unversionedInputKind: inputKind,
        })),
      }),
      CreateInput: ({ inputName, inputKind, inputSettings = {} }) => {
        this.#inputs.set(String(inputName), String(inputKind));
        this.#emit('InputCreated', { inputName, inputKind, inputSettings });
        return { sceneItemId: this.#inputs.size };
      },
      RemoveInput: ({ inputName }) => {
        this.#inputs.delete(this.#known([...this.#inputs.keys()], inputName));
        this.#emit('InputRemoved', { inputName });
        return undefined;
      },
      GetStudioModeEnabled: () => ({ studioModeEnabled: this.#studioMode }),
      SetStudioModeEnabled: ({ studioModeEnabled }) => {
        this.#studioMode = Boolean(studioModeEnabled);
        this.#emit('StudioModeStateChanged', { studioModeEnabled });
        return undefined;
      },
    };
  }

  #list(): Data[] {
    return this.#scenes.map((sceneName, sceneIndex) => ({ sceneIndex, sceneName }));
  }

  #known(names: readonly string[], name: unknown): string {
    if (names.includes(String(name))) return String(name);
    throw new Refusal(Status.NotFound, `No source was found by the name of \`${String(name)}\`.`);
  }
}
